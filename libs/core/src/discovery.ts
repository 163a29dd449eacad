import { type DiscoveryService, MetadataScanner } from '@nestjs/core';

const scanner = new MetadataScanner();

/** A provider or controller of any module of the application. */
export interface DiscoveredClass {
  /** Name of the class. */
  name: string;
  prototype: object;
  /** Absent for a class that has no single instance. */
  instance?: object;
  /** `false` for request-scoped and transient classes, and for those that depend on one. */
  isStatic: boolean;
}

export interface DiscoveredMethod<Metadata> {
  owner: DiscoveredClass;
  key: string;
  /** Class and method, for messages: `MailService.send`. */
  name: string;
  metadata: Metadata;
  /** Calls the method on the instance of its class. */
  call: (...args: unknown[]) => unknown;
}

/** Which classes are searched. Default: providers only. */
export interface DiscoveryScope {
  providers?: boolean;
  controllers?: boolean;
}

/** Each class once, also when several tokens refer to the same instance (`useExisting`). */
export function discoverClasses(
  discovery: DiscoveryService,
  { providers = true, controllers = false }: DiscoveryScope = {},
): DiscoveredClass[] {
  const wrappers = [...(providers ? discovery.getProviders() : []), ...(controllers ? discovery.getControllers() : [])];
  const found = new Map<object, DiscoveredClass>();
  for (const wrapper of wrappers) {
    const instance: unknown = wrapper.instance;
    const given = typeof instance === 'object' && instance !== null ? instance : undefined;
    // A provider made by a factory is identified by its instance; a request-scoped one has no instance yet.
    const prototype: unknown = given
      ? Object.getPrototypeOf(given)
      : (wrapper.metatype as { prototype?: unknown } | null)?.prototype;
    if (typeof prototype !== 'object' || prototype === null || prototype === Object.prototype) continue;
    const key = given ?? prototype;
    if (!found.has(key))
      found.set(key, {
        // Objects that a factory makes may have a prototype without a constructor.
        name: (prototype as { constructor?: { name: string } }).constructor?.name ?? '',
        prototype,
        ...(given && { instance: given }),
        isStatic: wrapper.isDependencyTreeStatic(),
      });
  }
  return [...found.values()];
}

/** Methods of a class, including inherited ones, for which `read` finds metadata. */
export function methodsOf<Metadata>(
  owner: DiscoveredClass,
  read: (method: (...args: never[]) => unknown) => Metadata | undefined,
): DiscoveredMethod<Metadata>[] {
  const methods = owner.prototype as Record<string, (...args: never[]) => unknown>;
  return scanner.getAllMethodNames(owner.prototype).flatMap((key) => {
    const metadata = read(methods[key]!);
    if (metadata === undefined) return [];
    const call = (...args: unknown[]) =>
      (owner.instance as Record<string, (...args: unknown[]) => unknown>)[key]!(...args);
    return [{ owner, key, name: `${owner.name}.${key}`, metadata, call }];
  });
}

/** Methods of all providers, or of the classes in `scope`, for which `read` finds metadata. */
export function discoverMethods<Metadata>(
  discovery: DiscoveryService,
  read: (method: (...args: never[]) => unknown) => Metadata | undefined,
  scope?: DiscoveryScope,
): DiscoveredMethod<Metadata>[] {
  return discoverClasses(discovery, scope).flatMap((owner) => methodsOf(owner, read));
}
