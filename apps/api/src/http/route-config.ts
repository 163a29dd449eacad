/** What hooks of Fastify see of a route as `request.routeOptions.config`. */
export interface RouteFlags {
  /** Needs no token. */
  open?: boolean;
}

/** Metadata that Nest's adapter makes the `config` of a Fastify route. */
const FASTIFY_ROUTE_CONFIG = '__fastify_route_config__';

/** Shows hooks something of a method of a controller, beside what other decorators show. On a class it does nothing. */
export function showToHooks(flags: RouteFlags): MethodDecorator & ClassDecorator {
  return (_target: object, _key?: unknown, descriptor?: PropertyDescriptor) => {
    if (!descriptor) return;
    const handler = descriptor.value as object;
    const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, handler) as object | undefined;
    Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG, { ...config, ...flags }, handler);
  };
}

/** Of the route that a request is for. */
export function flagsOf({ routeOptions }: { routeOptions: { config: object } }): RouteFlags {
  return routeOptions.config;
}
