import { testControls } from '../support/controls.js';

testControls('services');
