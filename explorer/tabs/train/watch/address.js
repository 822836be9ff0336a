// The address that opens a run: in the address bar while it is in sight, and to be copied for others.

/** @typedef {{run: string, secret?: boolean, ticket?: string}} Run */

/**
 * The page's address with the run in it while it is in sight, so that a reload shows it again; null where `href` is it.
 * @param {string} href
 * @param {Run | null} run
 * @param {boolean} inSight
 */
export function addressInSight(href, run, inSight) {
  const address = new URL(href),
    wanted = run && inSight ? run.run : null;
  if (address.searchParams.get("run") === wanted) return null;
  if (wanted) address.searchParams.set("run", wanted);
  else if (run) address.searchParams.delete("run");
  else return null;
  address.searchParams.delete("ticket");
  return address.href;
}

/**
 * The address that shows others this run: its ticket goes along where it cannot be seen without.
 * @param {string} href
 * @param {Run} run
 */
export function linkToRun(href, run) {
  const address = new URL(href);
  address.search = "";
  address.searchParams.set("run", run.run);
  if (run.secret) address.searchParams.set("ticket", run.ticket ?? "");
  return address.href;
}
