// Values that the browser keeps: for the tab until it is closed, and for all tabs. If the browser forbids storage, values
// are not kept.

export const tabStorage = safely(() => sessionStorage);
export const browserStorage = safely(() => localStorage);

function safely(storage) {
  return {
    get(key) {
      try {
        return storage().getItem(key) ?? '';
      } catch {
        return '';
      }
    },
    set(key, value) {
      try {
        storage().setItem(key, value);
      } catch {}
    },
  };
}
