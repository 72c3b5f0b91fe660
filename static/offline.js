// A second visit needs no connection: a service worker keeps the folder. Where the browser has none, or not for this
// address, everything else is as it is.

/** @param {URL} root the folder of the book */
export async function keepOffline(root) {
  try {
    await navigator.serviceWorker?.register(new URL("sw.js", root), { scope: root.pathname });
  } catch {
    // The folder isn't kept.
  }
}
