export { CLIENT_ADDRESS, createClientAddress, parseTrustedProxies } from './http/client-address.js';
export type { ClientAddress } from './http/client-address.js';
export { limitHeaders } from './http/limit-headers.js';
export { LimitLogins, LoginGuard } from './http/login.guard.js';
export type { LoginRequest } from './http/login.guard.js';
export { RateLimit } from './http/rate-limit.decorator.js';
export type { LimitKey, RouteLimit } from './http/rate-limit.decorator.js';
export { RateLimitGuard } from './http/rate-limit.guard.js';
export type { RateLimitedRequest } from './http/rate-limit.guard.js';
export {
  LimiterError,
  LimiterUnavailableError,
  RateLimitedError,
  TooManyAttemptsError,
} from './http/limiter.errors.js';
export type { Refusal } from './http/limiter.errors.js';
export type { ConsumeOptions, Decision, DecisionSource, Hit, LimitAnswer, LimitState } from './limiter.decision.js';
export { LimiterModule } from './limiter.module.js';
export type { LimiterModuleOptions, LoginLimitOptions } from './limiter.options.js';
export { LimiterService } from './limiter.service.js';
export { LoginAttempt, LoginProtection } from './login/login-protection.js';
export type { LoginTarget } from './login/login-protection.js';
export { LOGIN, loginPolicies } from './login/login.policies.js';
export type { LimitPolicy, OnUnavailable, Steps } from './policies/policy.js';
export { PolicyBook } from './policies/policy-book.js';
export { ThrottlerStorageRedis } from './throttler-storage-redis.js';
