// Betters pages that work without it: a button beside each code block that copies it, times as the reader's own, parts of
// pages that are looked at again, and tests that are shown without leaving the page.
"use strict";

const format = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "shortOffset",
});

// What the script adds to a part of a page, when it comes and whenever it is replaced.
function better(part) {
  for (const code of part.querySelectorAll("[data-copy]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small copy";
    button.textContent = "Copy";
    const pre = code.closest("pre");
    button.setAttribute("aria-label", `Copy: ${pre?.getAttribute("aria-label") ?? "text"}`);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        // No right to the clipboard, as over plain http: select it, for the keyboard.
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    code.closest(".code").append(button);
  }
  for (const time of part.querySelectorAll("time[datetime]")) {
    const instant = new Date(time.dateTime);
    if (Number.isNaN(instant.getTime())) continue;
    time.title = `${time.dateTime.replace("T", " ").replace("Z", "")} UTC`;
    time.textContent = format.format(instant);
  }
}
better(document);

// A page as the server has it now; null where it cannot be had.
async function fetched(url, options = {}) {
  try {
    const answer = await fetch(url, options);
    if (!answer.ok) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return { page, url: answer.url };
  } catch {
    return null;
  }
}

// Puts a part of another page in the place of the part of that id here.
function replace(id, page) {
  const [here, there] = [document.getElementById(id), page.getElementById(id)];
  if (!here || !there) return false;
  const fresh = document.importNode(there, true);
  here.replaceWith(fresh);
  better(fresh);
  return true;
}

// Parts that say after how many seconds they are to be looked at again. Not while nobody looks, nor under a reader's hands.
function lookAgain(id) {
  const part = document.getElementById(id);
  const seconds = Number(part?.dataset.refresh);
  if (!seconds) return;
  setTimeout(async () => {
    const busy = () => {
      const part = document.getElementById(id);
      return document.hidden || part.contains(document.activeElement) || !getSelection().isCollapsed;
    };
    if (!busy()) {
      const found = await fetched(location.href, { headers: { "x-abide-refresh": "1" } });
      if (found && !busy()) replace(id, found.page);
    }
    lookAgain(id);
  }, seconds * 1000);
}
for (const part of document.querySelectorAll("[data-refresh]")) lookAgain(part.id);

// A form is sent once, however often its button is pressed. One that names a part gets its answer there.
addEventListener("submit", (event) => {
  const form = event.target;
  const buttons = form.querySelectorAll("button");
  for (const button of buttons) button.setAttribute("aria-disabled", "true");
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  if (!form.dataset.part) return;
  event.preventDefault();
  const [button] = buttons;
  const label = button.textContent;
  button.textContent = form.dataset.busy;
  const body = new URLSearchParams(new FormData(form));
  fetched(form.action, { method: "POST", body }).then((found) => {
    if (!found || !replace(form.dataset.part, found.page)) {
      // Whatever it is, the page itself says it.
      HTMLFormElement.prototype.submit.call(form);
      // In another tab, where the browser lets it: this page stays.
      if (!form.target) return;
    }
    button.textContent = label;
    ready(form);
  });
});

function ready(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
}
addEventListener("pageshow", () => {
  for (const form of document.forms) ready(form);
});
