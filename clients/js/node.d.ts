import type { Storage } from "./mab-client.js";

/** Keep what the client stores in this folder; it is created. */
export function fileStorage(folder: string): Storage;
