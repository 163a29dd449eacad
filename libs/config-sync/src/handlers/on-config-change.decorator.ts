import 'reflect-metadata';

const SECTIONS = Symbol.for('@yuxi/config-sync:OnConfigChange');

export interface ConfigChangeInfo<Section = unknown> {
  /** What this method was given last; undefined at start-up. */
  previous: Section | undefined;
  revision: number;
}

/**
 * Calls the method with the section's new values, `(next, { previous, revision })`: once at start-up, then on every
 * replica whenever they change, before the revision is served by `LiveConfig`. A throw keeps the old revision in force,
 * and the method is called again with the next reconcile: it must bear being called twice with the same values.
 */
export function OnConfigChange(section: string): MethodDecorator {
  return (_prototype, _key, descriptor: PropertyDescriptor) => {
    const method = descriptor.value as object;
    Reflect.defineMetadata(SECTIONS, [...(sectionsOf(method) ?? []), section], method);
  };
}

export function sectionsOf(method: object): string[] | undefined {
  return Reflect.getMetadata(SECTIONS, method) as string[] | undefined;
}
