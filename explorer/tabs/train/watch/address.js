// The address that opens a run: in the address bar while it is in sight, and to be copied for others. In scope when they are
// called: of train_live.js `run`, `root`, `$`, `t`, `spoken`, `reason`.
/** The address names the run while it is in sight, so that a reload shows it again. */
function showAddress() {
  const address = new URL(location.href), wanted = run && root.offsetParent !== null ? run.run : null;
  if (address.searchParams.get("run") === wanted) return;
  if (wanted) address.searchParams.set("run", wanted);
  else if (run) address.searchParams.delete("run");
  else return;
  address.searchParams.delete("ticket");
  history.replaceState(history.state, "", address);
}

async function copyLink() {
  const address = new URL(location.href);
  address.search = "";
  address.searchParams.set("run", run.run);
  if (run.secret) address.searchParams.set("ticket", run.ticket);
  try {
    await navigator.clipboard.writeText(address.href);
    spoken.textContent = t("copied");
    $(".copy").textContent = t("copied");
    setTimeout(() => ($(".copy").textContent = t("copy")), 2000);
  } catch { // no permission: the link is there to be copied by hand
    reason(address.href);
  }
}
