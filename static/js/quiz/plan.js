// A plan that names no time zone yet is offered the one of this device.

const field = document.querySelector("[data-plan] [name=timezone]");
if (field && !field.value) field.value = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
