import { Global, Inject, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { ConfigurableModuleBuilder } from '@nestjs/common';
import { SQL_CLIENT, SQL_NOTIFICATIONS } from '@yuxi/core';
import { BLOB_STORE, DatabaseBlobStore } from './blobs/blob-store.js';
import { DATABASE } from './database.js';
import { STORAGE_SPACE } from './disk-space.js';
import { STORAGE_DRIVER, type StorageDriver } from './drivers/driver.js';
import { openStorage } from './open-storage.js';
import { readStorageInfo, StorageInfo } from './storage-info.js';
import type { StorageOptions } from './storage.options.js';

const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<StorageOptions>({ moduleName: 'Storage' }).setClassMethodName('forRoot').build();

/**
 * Opens and migrates the database, and provides `DATABASE`, `SQL_CLIENT`, `SQL_NOTIFICATIONS`, `STORAGE_SPACE`, `BLOB_STORE` and
 * `StorageInfo`. Providers that inject one of them start after the migrations, and stop before the pool closes.
 */
@Global()
@Module({
  providers: [
    { provide: STORAGE_DRIVER, useFactory: openStorage, inject: [MODULE_OPTIONS_TOKEN] },
    { provide: DATABASE, useFactory: (driver: StorageDriver) => driver.db, inject: [STORAGE_DRIVER] },
    { provide: SQL_CLIENT, useFactory: (driver: StorageDriver) => driver.sql, inject: [STORAGE_DRIVER] },
    {
      provide: SQL_NOTIFICATIONS,
      useFactory: (driver: StorageDriver) => driver.notifications,
      inject: [STORAGE_DRIVER],
    },
    { provide: StorageInfo, useFactory: readStorageInfo, inject: [STORAGE_DRIVER] },
    { provide: STORAGE_SPACE, useFactory: (driver: StorageDriver) => driver.space, inject: [STORAGE_DRIVER] },
    {
      provide: BLOB_STORE,
      useFactory: (driver: StorageDriver) => new DatabaseBlobStore(driver.sql, driver.space),
      inject: [STORAGE_DRIVER],
    },
  ],
  exports: [STORAGE_DRIVER, DATABASE, SQL_CLIENT, SQL_NOTIFICATIONS, STORAGE_SPACE, StorageInfo, BLOB_STORE],
})
export class StorageModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(@Inject(STORAGE_DRIVER) private readonly driver: StorageDriver) {
    super();
  }

  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    return super.forRoot(options);
  }

  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    return super.forRootAsync(options);
  }

  async onApplicationShutdown(): Promise<void> {
    await this.driver.close();
  }
}
