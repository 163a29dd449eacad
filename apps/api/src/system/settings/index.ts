export { RolloutController } from './rollout.controller.js';
export { SettingsController } from './settings.controller.js';
export { SettingsService } from './settings.service.js';
