import { Logger, type OnApplicationShutdown } from '@nestjs/common';
import { OptionsError } from '@yuxi/core';
import { type Observable, Subject, type Subscription } from 'rxjs';
import { type CompiledPolicy, compilePolicy, type LimitPolicy } from './policy.js';

/** Where policies come from when they can change while the application runs, e.g. from a live configuration. */
export interface PolicySource {
  /** All policies that hold now. */
  policies(): readonly LimitPolicy[];
  /** Emits after a change; `policies()` is read again then. */
  changes?: Observable<unknown>;
}

/** The policies by name. Those of a followed source stand before declared ones of the same name. */
export class PolicyBook implements OnApplicationShutdown {
  readonly #log = new Logger('Limiter');
  readonly #declared = new Map<string, CompiledPolicy>();
  #followed = new Map<string, CompiledPolicy>();
  #following: Subscription | undefined;
  readonly #changes = new Subject<void>();

  /** @throws {OptionsError} */
  static of(policies: readonly LimitPolicy[] | PolicySource): PolicyBook {
    const book = new PolicyBook();
    if (isSource(policies)) book.follow(policies);
    else book.declare(policies);
    return book;
  }

  /** After policies have changed. */
  get changes(): Observable<void> {
    return this.#changes.asObservable();
  }

  /** @throws {OptionsError} a bad policy, or a name twice */
  declare(policies: readonly LimitPolicy[]): void {
    for (const policy of compileAll(policies)) this.#declared.set(policy.name, policy);
    this.#changes.next();
  }

  /**
   * Takes the policies of a source now and after each of its changes, in place of those of an earlier source. A later
   * reading that holds a bad policy is refused as a whole: the former policies stay.
   * @throws {OptionsError} a bad policy in the first reading
   */
  follow(source: PolicySource): void {
    const first = compileAll(source.policies());
    this.#following?.unsubscribe();
    this.#take(first);
    this.#following = source.changes?.subscribe(() => {
      try {
        this.#take(compileAll(source.policies()));
      } catch (error) {
        this.#log.error(`Changed limits are refused, the former ones stay: ${(error as Error).message}`);
      }
    });
  }

  /** @throws {OptionsError} there is none of that name */
  get(name: string, where = 'LimiterService'): CompiledPolicy {
    const policy = this.find(name);
    if (!policy) {
      const known = [...new Set([...this.#followed.keys(), ...this.#declared.keys()])].sort().join(', ');
      throw new OptionsError('policy', `one of ${known || '(none declared)'}`, name, where);
    }
    return policy;
  }

  /** In the order of their names. */
  all(): CompiledPolicy[] {
    const all = new Map([...this.#declared, ...this.#followed]);
    return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): CompiledPolicy | undefined {
    return this.#followed.get(name) ?? this.#declared.get(name);
  }

  onApplicationShutdown(): void {
    this.#following?.unsubscribe();
  }

  #take(policies: readonly CompiledPolicy[]): void {
    this.#followed = new Map(policies.map((policy) => [policy.name, policy]));
    this.#changes.next();
  }
}

function isSource(policies: readonly LimitPolicy[] | PolicySource): policies is PolicySource {
  return typeof policies === 'object' && policies !== null && 'policies' in policies;
}

function compileAll(policies: readonly LimitPolicy[]): CompiledPolicy[] {
  if (!Array.isArray(policies)) throw new OptionsError('policies', 'a list of policies', policies, 'LimiterModule');
  const compiled = policies.map((policy: LimitPolicy) => compilePolicy(policy));
  const names = compiled.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new OptionsError('policies', 'a list with each name once', twice, 'LimiterModule');
  return compiled;
}
