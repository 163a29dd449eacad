// Preloaded into Jest and into each process that a test starts. Changes compiled code and Lua scripts when they are read.
import fs from 'node:fs';
import { register, syncBuiltinESMExports } from 'node:module';
import { fileURLToPath } from 'node:url';
import { mutate } from './mutant.mjs';

register('./hooks.mjs', import.meta.url);

const { readFileSync } = fs;
fs.readFileSync = (path, options) => {
  const content = readFileSync(path, options);
  const name = path instanceof URL ? fileURLToPath(path) : String(path);
  return name.endsWith('.lua') && typeof content === 'string' ? mutate(name, content) : content;
};
syncBuiltinESMExports();
