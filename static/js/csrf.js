/** The CSRF token as the cookie holds it now. The first request of a visitor signs a guest in, which changes it, so it is read anew each time. */
export function csrfToken() {
  const found = document.cookie.split("; ").find((part) => part.startsWith("csrftoken="));
  return found ? decodeURIComponent(found.slice("csrftoken=".length)) : "";
}
