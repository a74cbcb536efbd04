"""What curves teach about the final values.

n curves, r = 3 n. w = (f, b) are f (n,) and the scaled shapes √v_j b_j (r,) at the curves' features; A_i is the design
of curve i, so that y_i = A_i w_i + e_i with the noise D_i = σ² I + σ_c² w(u_i, u_i).

    G_i = A_iᵀ D_i⁻¹ A_i       h_i = A_iᵀ D_i⁻¹ y_i                     all that is needed of a curve: 4 × 4, and 4
    M = I + Lᵀ G_bb L          L Lᵀ = k_b(X, X) of each shape          (r, r); S = L M⁻¹ Lᵀ is cov(b | f, y)
    H = G_ff - G_fb S G_bf     h = h_f - G_fb S h_b                    the precision and the information of f

For f alone the curves are observations H⁻¹ h with the noise covariance H⁻¹: an ordinary Gaussian process, over which
every acquisition function works. It costs O(r³ + n³), however many values the curves have.
"""

import numpy as np
from scipy.linalg import lapack, solve_triangular

from bo_service.optimizer.curves.data import MOST_POINTS, CurveData
from bo_service.optimizer.curves.kernel import SHAPES, CurveKernel, falls, wander
from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.numerics.array import Array
from bo_service.optimizer.numerics.cholesky import factor

JITTER = 1e-8
LEAST_PRECISION = 1e-9


def _lower_t(Lb: Array, V: Array) -> Array:
    """Return Lᵀ V for V (r, q), L being `Lb` for each shape."""
    n = len(Lb)
    return np.concatenate([Lb.T @ V[j * n : (j + 1) * n] for j in range(SHAPES)])


def condition_on_curves(kernel: CurveKernel, data: CurveData) -> GaussianProcess:
    """Return the posterior of the final values, given curves that each have a value."""
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
    half = solve_triangular(LM, _lower_t(Lb, np.hstack([G_bf, h_b])), lower=True, check_finite=False)
    H = np.diag(G[:, 0, 0]) - half[:, :n].T @ half[:, :n]
    information = h[:, 0] - half[:, :n].T @ half[:, n]
    return _process(kernel, data.X, H, information)


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
