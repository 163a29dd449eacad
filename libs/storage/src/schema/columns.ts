import { customType, timestamp } from 'drizzle-orm/pg-core';

/** `bytea` as a Buffer on both drivers. */
export const bytea = customType<{ data: Buffer; driverData: Buffer }>({
  dataType: () => 'bytea',
});

/** As text in the syntax of PostgreSQL: `{[1,5),[9,12)}`. */
export const int8multirange = customType<{ data: string }>({ dataType: () => 'int8multirange' });

/** `timestamptz` as a Date. */
export const instant = (name: string) => timestamp(name, { withTimezone: true });

export const createdAt = () => instant('created_at').notNull().defaultNow();

/** Every `update()` of the query builder sets it to the present time. */
export const updatedAt = () =>
  instant('updated_at')
    .notNull()
    .defaultNow()
    .$onUpdate(() => new Date());
