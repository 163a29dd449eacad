import 'reflect-metadata';

type Method = (this: unknown, ...args: never[]) => unknown;

/**
 * Replaces the method of a property descriptor with one that runs `advice` around it.
 * The new method has the same name, length and metadata, because other decorators of the method read them.
 */
export function around(
  descriptor: PropertyDescriptor,
  advice: (self: unknown, proceed: () => unknown, args: unknown[]) => unknown,
): void {
  const original = descriptor.value as Method;
  const wrapped = function (this: unknown, ...args: unknown[]) {
    return advice(this, () => Reflect.apply(original, this, args), args);
  };
  Object.defineProperties(wrapped, {
    name: { value: original.name, configurable: true },
    length: { value: original.length, configurable: true },
  });
  for (const key of Reflect.getMetadataKeys(original) as unknown[])
    Reflect.defineMetadata(key, Reflect.getMetadata(key, original), wrapped);
  descriptor.value = wrapped;
}
