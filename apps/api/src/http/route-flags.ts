/** Properties of a route that Fastify hooks read from `request.routeOptions.config`. */
export interface RouteFlags {
  /** The route needs no token. */
  open?: boolean;
}

/** Metadata that Nest's adapter passes on as the `config` of a Fastify route. */
const FASTIFY_ROUTE_CONFIG = '__fastify_route_config__';

/** Adds flags to the route of a controller method. On a class it has no effect. */
export function setRouteFlags(flags: RouteFlags): MethodDecorator & ClassDecorator {
  return (_target: object, _key?: unknown, descriptor?: PropertyDescriptor) => {
    if (!descriptor) return;
    const handler = descriptor.value as object;
    const config = Reflect.getMetadata(FASTIFY_ROUTE_CONFIG, handler) as object | undefined;
    Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG, { ...config, ...flags }, handler);
  };
}

/** The flags of the route of a request. */
export function flagsOf({ routeOptions }: { routeOptions: { config: object } }): RouteFlags {
  return routeOptions.config;
}
