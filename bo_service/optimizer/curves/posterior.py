"""What curves teach about the final values, and what the next values would.

n curves, r = 3 n. w = (f, b) are f (n,) and the scaled shapes √v_j b_j (r,) at the curves' features; A_i is the design
of curve i, so that y_i = A_i w_i + e_i with the noise D_i = σ² I + σ_c² w(u_i, u_i).

    G_i = A_iᵀ D_i⁻¹ A_i       h_i = A_iᵀ D_i⁻¹ y_i                     all that is needed of a curve: 4 × 4, and 4
    M = I + Lᵀ G_bb L          L Lᵀ = k_b(X, X) of each shape          (r, r); S = L M⁻¹ Lᵀ is cov(b | f, y)
    H = G_ff - G_fb S G_bf     h = h_f - G_fb S h_b                    the precision and the information of f

For f alone the curves are observations H⁻¹ h with the noise covariance H⁻¹: an ordinary Gaussian process, over which
every acquisition function works. It costs O(r³ + n³), however many values the curves have.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular

from bo_service.optimizer.curves.data import MOST_POINTS, CurveData
from bo_service.optimizer.curves.kernel import SHAPES, CurveKernel, falls, wander
from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.cholesky import factor

JITTER = 1e-8
LEAST_PRECISION = 1e-9


@dataclass(frozen=True)
class CurvePosterior:
    """The surrogate of curves, conditioned on them."""

    kernel: CurveKernel
    data: CurveData
    process: GaussianProcess
    """Of f."""
    Lb: Array
    """The Cholesky factor (n, n) of k_b(X, X)."""
    LM: Array
    """That of M (r, r)."""
    G: Array
    """(n, 4, 4)."""
    design: Array
    """A (n, 6, 4); 0 where a curve has no value."""
    precision: Array
    """D⁻¹ (n, 6, 6)."""

    def condition_on_mean(self, X: Array) -> "CurvePosterior":
        """Condition on the posterior mean of f at X (b, f), as of trials that are pending."""
        return replace(self, process=self.process.condition_on_mean(X))

    def step(self, i: Array, u: Array) -> Array:
        """Return s̃ (q,), the standard deviation that a value at u (q,) of curves i (q,) would take from f.

        s̃ = cov(f, y(u)) / √var y(u), given everything.
        """
        phi = falls(u) * self._scales
        between = self.kernel.curve_variance * wander(self.data.u[i], u[:, None]) * self.data.mask[i]
        kappa = np.einsum("qkl,ql->qk", self.precision[i], between)
        by_f = 1.0 - kappa.sum(axis=1)
        by_b = phi - np.einsum("qk,qkj->qj", kappa, self.design[i, :, 1:])
        left = self.kernel.curve_variance * wander(u, u) - (kappa * between).sum(axis=1)
        one, nothing = np.eye(len(self.data))[i].T, np.zeros((len(self.process.X) - len(self.data), len(i)))
        return self._step(np.vstack([one, nothing]), one, np.zeros(len(i)), np.zeros(len(i)), by_f, by_b, left)

    def first_step(self, Q: Array, u: float) -> Array:
        """Return the same (m,) of new trials at features Q (m, f), whose first value comes at u."""
        kernel, count = self.kernel, len(Q)
        k_f, k_b = kernel.final(self.process.X, Q), kernel.shape(self.data.X, Q)
        by_f, by_b = cho_solve((self._Lf, True), k_f), cho_solve((self.Lb, True), k_b)
        rest_f = kernel.final.variance - (k_f * by_f).sum(axis=0)
        rest_b = 2.0 - (k_b * by_b).sum(axis=0)
        phi = np.tile(falls(np.array(u)) * self._scales, (count, 1))
        left = np.full(count, self.kernel.curve_variance * -np.log(u))
        return self._step(by_f, by_b, rest_f, rest_b, np.ones(count), phi, left)

    def _step(
        self, a_f: Array, a_b: Array, rest_f: Array, rest_b: Array, by_f: Array, by_b: Array, left: Array
    ) -> Array:
        """Return s̃ (q,) of y = by_f f_q + by_b b_q + N(0, left) + ε, where f_q = a_fᵀ f + N(0, rest_f), and so with b.

        f is that at the curves and at the pending points.
        """
        n = len(self.data)
        loads = (by_b.T[:, None, :] * a_b).reshape(SHAPES * n, -1)  # (r, q)
        half = solve_triangular(self.LM, self._lower_t(loads), lower=True, check_finite=False)
        cov_f, seen = self._cov_f, by_f * a_f
        seen[:n] -= self._W.T @ loads  # E(b | f) falls where f rises
        cov = (a_f * (cov_f @ seen)).sum(axis=0) + by_f * np.maximum(rest_f, 0.0)
        variance = (seen * (cov_f @ seen)).sum(axis=0) + by_f**2 * np.maximum(rest_f, 0.0)
        variance += (half * half).sum(axis=0) + (by_b**2).sum(axis=1) * np.maximum(rest_b, 0.0)
        variance += left + self.kernel.noise_variance
        return np.asarray(np.maximum(cov, 0.0) / np.sqrt(variance))

    @property
    def _scales(self) -> Array:
        return np.asarray(np.sqrt(np.asarray(self.kernel.shape_variance, dtype=np.float64)))

    @cached_property
    def _Lf(self) -> Array:
        """The Cholesky factor of k_f between the curves and the pending points."""
        kernel, X = self.kernel.final, self.process.X
        return factor(kernel(X) + JITTER * kernel.variance * np.eye(len(X)), JITTER * kernel.variance)

    @cached_property
    def _cov_f(self) -> Array:
        """The covariance (n + b, n + b) of f at the curves and the pending points, given everything."""
        process = self.process
        prior = process.kernel(process.X)
        half = solve_triangular(process.L, prior, lower=True, check_finite=False)
        return np.asarray(prior - half.T @ half)

    @cached_property
    def _W(self) -> Array:
        """S G_bf (r, n)."""
        n = len(self.data)
        G_bf = np.concatenate([np.diag(self.G[:, 0, j + 1]) for j in range(SHAPES)])
        half = solve_triangular(self.LM, self._lower_t(G_bf), lower=True, check_finite=False)
        back = solve_triangular(self.LM, half, lower=True, trans=1, check_finite=False)
        return np.concatenate([self.Lb @ back[j * n : (j + 1) * n] for j in range(SHAPES)])

    def _lower_t(self, V: Array) -> Array:
        return lower_t(self.Lb, V)


def lower_t(Lb: Array, V: Array) -> Array:
    """Return Lᵀ V for V (r, q), L being `Lb` for each shape."""
    n = len(Lb)
    return np.concatenate([Lb.T @ V[j * n : (j + 1) * n] for j in range(SHAPES)])


def condition_on_curves(kernel: CurveKernel, data: CurveData) -> CurvePosterior:
    """Return the posterior of curves, each of which has a value."""
    n, mask, noise = len(data), data.mask, kernel.noise_variance
    scales = np.sqrt(np.asarray(kernel.shape_variance, dtype=np.float64))
    A = np.concatenate([mask[:, :, None], falls(data.u) * scales * mask[:, :, None]], axis=2)
    own = kernel.curve_variance * wander(data.u[:, :, None], data.u[:, None, :])
    D = own * mask[:, :, None] * mask[:, None, :] + noise * np.eye(MOST_POINTS)
    precision = np.asarray(np.linalg.inv(D), dtype=np.float64)
    weighted = np.swapaxes(A, 1, 2) @ precision
    G, h = weighted @ A, np.einsum("njk,nk->nj", weighted, data.y)
    Lb = factor(kernel.shape(data.X, data.X) + 2 * JITTER * np.eye(n), 2 * JITTER)
    M = np.eye(SHAPES * n)
    for j in range(SHAPES):
        for k in range(j + 1):
            block = Lb.T @ (G[:, j + 1, k + 1, None] * Lb)
            M[j * n : (j + 1) * n, k * n : (k + 1) * n] += block
    LM = factor(M, JITTER)
    G_bf = np.concatenate([np.diag(G[:, 0, j + 1]) for j in range(SHAPES)])
    h_b = np.concatenate([h[:, j + 1] for j in range(SHAPES)])[:, None]
    half = solve_triangular(LM, lower_t(Lb, np.hstack([G_bf, h_b])), lower=True, check_finite=False)
    H = np.diag(G[:, 0, 0]) - half[:, :n].T @ half[:, :n]
    information = h[:, 0] - half[:, :n].T @ half[:, n]
    return CurvePosterior(kernel, data, _process(kernel, data.X, H, information), Lb, LM, G, A, precision)


def _process(kernel: CurveKernel, X: Array, H: Array, information: Array) -> GaussianProcess:
    """Return the process of f over observations H⁻¹ h at X (n, f) with the noise covariance H⁻¹ (n, n)."""
    final = kernel.final
    least = LEAST_PRECISION * (1.0 + float(np.diag(H).max()))
    LH = factor(H + least * np.eye(len(H)), least)
    noise, _ = lapack.dpotri(LH, lower=1)
    noise = np.tril(noise) + np.tril(noise, -1).T
    y = noise @ information
    prior = final(X)
    L = factor(prior + noise, JITTER * final.variance)
    a, _ = lapack.dpotrs(L, y, lower=1)
    return GaussianProcess(final, float(kernel.noise_variance), X, L, a, np.diag(noise).copy(), prior @ a)
