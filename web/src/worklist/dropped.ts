// The files of what was dropped on the page, folders and their folders included.

/** A file with the folders it lay in: `study/series/1.dcm`. */
export interface Dropped {
  path: string;
  file: File;
}

export async function filesOf(data: DataTransfer): Promise<Dropped[]> {
  // The entries must be taken before the first wait: the browser empties the list after the event.
  const taken = [...data.items].filter((item) => item.kind === "file").map((item) => ({ entry: item.webkitGetAsEntry(), file: item.getAsFile() }));
  const found: Dropped[] = [];
  for (const { entry, file } of taken) {
    if (entry) await collect(entry, "", found);
    else if (file) found.push({ path: file.name, file });
  }
  return found;
}

export function filesOfInput(input: HTMLInputElement): Dropped[] {
  return [...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}

async function collect(entry: FileSystemEntry, folder: string, found: Dropped[]): Promise<void> {
  const path = folder + entry.name;
  if (entry.name.startsWith(".")) return; // hidden files of the system: no images
  if (entry.isFile) found.push({ path, file: await opened(entry as FileSystemFileEntry) });
  else for (const inner of await listed(entry as FileSystemDirectoryEntry)) await collect(inner, `${path}/`, found);
}

function opened(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

/** All entries of a folder: a reader gives a hundred at a time. */
async function listed(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}
