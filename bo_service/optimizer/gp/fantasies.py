"""What a Gaussian process would say if the true values at some of its points were known: draws of them, taken as exact.

b points B (b, f); S draws F (b, S) of their noise-free values; m queries; c(x) (b,) the posterior covariance of x and
B.

    mean_s(x) = mean(x) + c(x)ᵀ cov(B)⁻¹ (F_s - mean(B))        var(x) = var(x) - c(x)ᵀ cov(B)⁻¹ c(x)

The improvement over the best of each draw, averaged over the draws, is noisy expected improvement (Letham et al. 2019,
arXiv 1706.07094): what observations leave open about the incumbent itself counts too.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from bo_service.optimizer.gp.base import Draws, DrawsWithGradient
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.cholesky import factor

if TYPE_CHECKING:
    from bo_service.optimizer.gp.gaussian_process import GaussianProcess

JITTER = 1e-6
"""Of the kernel's variance: draws are believed to this, so that near points don't contradict each other."""


@dataclass(frozen=True)
class FantasyModel:
    """Draws of the values at B, and the process that knows them."""

    process: "GaussianProcess"
    points: Array
    """B (b, f)."""
    explained: Array
    """K⁻¹ k(X, B) (n, b)."""
    L: Array
    """The Cholesky factor of cov(B) (b, b)."""
    a: Array
    """cov(B)⁻¹ (F - mean(B)) (b, S)."""
    values: Array
    """F (b, S)."""

    @classmethod
    def of(cls, process: "GaussianProcess", points: Array, count: int, rng: np.random.Generator) -> "FantasyModel":
        """Draw `count` samples of the values at points (b, f), b >= 1."""
        kernel = process.kernel
        half = solve_triangular(process.L, kernel(process.X, points), lower=True, check_finite=False)
        covariance = kernel(points) - half.T @ half
        L = factor(covariance + JITTER * kernel.variance * np.eye(len(points)), JITTER * kernel.variance)
        unit = rng.standard_normal((len(points), count))
        return cls(
            process=process,
            points=points,
            explained=solve_triangular(process.L, half, lower=True, trans=1, check_finite=False),
            L=L,
            a=solve_triangular(L, unit, lower=True, trans=1, check_finite=False),
            values=process.mean(points)[:, None] + L @ unit,
        )

    def posterior(self, Q: Array) -> Draws:
        """Return the posterior at queries Q (m, f)."""
        process = self.process
        known = process.kernel(process.X, Q)
        half = solve_triangular(process.L, known, lower=True, check_finite=False)
        c = process.kernel(self.points, Q) - self.explained.T @ known
        told = solve_triangular(self.L, c, lower=True, check_finite=False)
        variance = process.kernel.variance - np.einsum("ij,ij->j", half, half) - np.einsum("ij,ij->j", told, told)
        mean = process.a @ known[: len(process.a)]
        return Draws(mean[:, None] + c.T @ self.a, np.sqrt(np.maximum(variance, process.least_variance)))

    def posterior_with_gradient(self, x: Array) -> DrawsWithGradient:
        """Return the posterior at one query x (f,), with gradients."""
        process, n = self.process, len(self.process.a)
        known, known_by_x = process.kernel.with_gradient(x, process.X)
        near, near_by_x = process.kernel.with_gradient(x, self.points)
        w = process.solve(known)
        c, c_by_x = near - self.explained.T @ known, near_by_x - self.explained.T @ known_by_x
        half = solve_triangular(self.L, c, lower=True, check_finite=False)
        v = solve_triangular(self.L, half, lower=True, trans=1, check_finite=False)
        variance = max(process.kernel.variance - float(known @ w) - float(half @ half), process.least_variance)
        std = float(np.sqrt(variance))
        return DrawsWithGradient(
            means=float(process.a @ known[:n]) + c @ self.a,
            std=std,
            d_means=(process.a @ known_by_x[:n])[None] + self.a.T @ c_by_x,
            d_std=-(w @ known_by_x + v @ c_by_x) / std,
        )
