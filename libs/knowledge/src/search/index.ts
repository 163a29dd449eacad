export * from './search.service.js';
