/** A client of bo-service: Bayesian optimization over gRPC. */
export { Client, connect } from './client.js'
export { BoError, PauseTrial, StopTrial } from './errors.js'
export { atLeast, atMost, categorical, discrete, float, forbid, int, maximize, minimize, sumAtMost, sumEquals } from './space.js'
export { Study } from './study.js'
export { RunningTrial } from './trial.js'
export { FAILURE_REASONS } from './values.js'
