export { createAdministrator } from './first-steps.js';
export { StartPageController } from './start-page.controller.js';
