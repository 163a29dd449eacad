import { OptionsError } from '@yuxi/core';
import { type CompiledPolicy, compilePolicy, type LimitPolicy } from './policy.js';

/** The policies by name. Overriding policies replace declared ones of the same name. */
export class PolicyBook {
  readonly #declared = new Map<string, CompiledPolicy>();
  #overriding = new Map<string, CompiledPolicy>();
  #version = 0;

  /** @throws {OptionsError} a bad policy, or a name twice */
  static of(policies: readonly LimitPolicy[]): PolicyBook {
    const book = new PolicyBook();
    book.declare(policies);
    return book;
  }

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  /** @throws {OptionsError} a bad policy, or a name twice */
  declare(policies: readonly LimitPolicy[]): void {
    for (const policy of compileAll(policies)) this.#declared.set(policy.name, policy);
    this.#version++;
  }

  /**
   * Changes limits while the application runs, for example from a live configuration. The policies apply from the next request on and
   * replace those of the last call. When one of them is bad, none is taken and the present ones stay.
   * @throws {OptionsError} a bad policy, or a name twice
   */
  override(policies: readonly LimitPolicy[]): void {
    this.#overriding = new Map(compileAll(policies).map((policy) => [policy.name, policy]));
    this.#version++;
  }

  /** @throws {OptionsError} there is no policy with that name */
  get(name: string, where = 'LimiterService'): CompiledPolicy {
    const policy = this.find(name);
    if (!policy) {
      const known = [...new Set([...this.#overriding.keys(), ...this.#declared.keys()])].sort().join(', ');
      throw new OptionsError('policy', `one of ${known || '(none declared)'}`, name, where);
    }
    return policy;
  }

  /** In the order of their names. */
  all(): CompiledPolicy[] {
    const all = new Map([...this.#declared, ...this.#overriding]);
    return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): CompiledPolicy | undefined {
    return this.#overriding.get(name) ?? this.#declared.get(name);
  }
}

function compileAll(policies: readonly LimitPolicy[]): CompiledPolicy[] {
  if (!Array.isArray(policies)) throw new OptionsError('policies', 'a list of policies', policies, 'LimiterModule');
  const compiled = policies.map((policy: LimitPolicy) => compilePolicy(policy));
  const names = compiled.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new OptionsError('policies', 'a list with each name once', twice, 'LimiterModule');
  return compiled;
}
