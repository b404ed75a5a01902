// The coordinator's API, as the page uses it.

export class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `the coordinator answered ${status}`);
    this.status = status;
    this.problems = problem.problems || [];
  }
}

const roles = ["viewer", "submitter", "operator", "admin"];
let session = null;

export const setSession = (value) => (session = value);

/** Whether whoever is signed in may what a role may. */
export const may = (role) => roles.indexOf(session?.role) >= roles.indexOf(role);

export async function call(method, path, body, signal) {
  const response = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
    credentials: "same-origin",
    signal,
  });
  if (!response.ok) throw new Refusal(response.status, await response.json().catch(() => ({})));
  return response.status === 204 ? null : response.json();
}

export const get = (path, signal) => call("GET", path, undefined, signal);

/** A path with a query of the values that there are. */
export function query(path, values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/** The items of a list, page by page, at most so many; `next` says whether there are more. */
export async function list(path, values = {}, most = 1000) {
  const items = [];
  let next = null;
  do {
    const page = await get(query(path, { limit: Math.min(most - items.length, 1000), ...values, after: next ?? values.after }));
    items.push(...page.items);
    next = page.next ?? null;
  } while (next && items.length < most);
  return { items, next };
}

export const jobPath = (id, rest = "") => `/v1/jobs/${encodeURIComponent(id)}${rest}`;
export const pictureOf = (image, fit) => query(`/v1/images/${image.id}/content`, { fit });
export const draftOf = (image, fit) => query(`/v1/images/${image.id}/draft`, { fit });
export const blobPicture = (sha256, fit) => query(`/v1/blobs/${sha256}`, { fit });

/** Side of a thumbnail that is sharp on a tile so wide, in CSS pixels. */
export function fitFor(width) {
  const wanted = width * Math.min(devicePixelRatio, 2);
  return wanted <= 144 ? 128 : wanted <= 320 ? 256 : 512;
}
