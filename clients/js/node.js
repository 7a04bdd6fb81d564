// Storage on disk for Node: one file for each name, replaced whole, so that no reader sees half of one.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Keep what the client stores in this folder; it is created. */
export function fileStorage(folder) {
  mkdirSync(folder, { recursive: true });
  return {
    getItem(name) {
      try {
        return readFileSync(join(folder, name), "utf8");
      } catch (error) {
        if (error.code === "ENOENT") return null;
        throw error;
      }
    },
    setItem(name, text) {
      const path = join(folder, name);
      writeFileSync(`${path}.${process.pid}.new`, text, { mode: 0o600 });
      renameSync(`${path}.${process.pid}.new`, path);
    },
  };
}
