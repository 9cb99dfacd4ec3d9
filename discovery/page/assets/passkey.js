// The one script of Domicile. It asks the browser for a passkey, or to make one,
// and puts the answer into the form that brought the challenge. It asks nobody
// else, keeps nothing, and every page without passkeys does without it.
"use strict";
(() => {
  const form = document.getElementById("passkey");
  if (!form || !form.dataset.options) return;
  const answer = form.elements.namedItem("answer");

  // One of the sentences that the page brought along, in its language.
  const say = (when) => {
    for (const p of form.querySelectorAll("[data-when]")) p.hidden = p.dataset.when !== when;
  };

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  const create = async (o) => {
    const made = await navigator.credentials.create({
      publicKey: {
        ...o,
        challenge: bytes(o.challenge),
        user: { ...o.user, id: bytes(o.user.id) },
        excludeCredentials: named(o.excludeCredentials),
      },
    });
    const r = made.response;
    return [made, {
      clientDataJSON: text(r.clientDataJSON),
      attestationObject: text(r.attestationObject),
      transports: r.getTransports ? r.getTransports() : [],
    }];
  };

  const get = async (o) => {
    const got = await navigator.credentials.get({
      publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: named(o.allowCredentials) },
    });
    const r = got.response;
    return [got, {
      clientDataJSON: text(r.clientDataJSON),
      authenticatorData: text(r.authenticatorData),
      signature: text(r.signature),
      userHandle: r.userHandle ? text(r.userHandle) : undefined,
    }];
  };

  let busy = false;
  const ask = async () => {
    if (busy) return;
    busy = true;
    say("waiting");
    try {
      const o = JSON.parse(form.dataset.options).publicKey;
      const [key, response] = await (o.user ? create(o) : get(o));
      answer.value = JSON.stringify({
        id: key.id, rawId: text(key.rawId), type: key.type,
        authenticatorAttachment: key.authenticatorAttachment || undefined,
        clientExtensionResults: {}, response,
      });
      form.submit(); // asks no submit handler again
    } catch (e) {
      say(e.name === "InvalidStateError" ? "known" : "failed");
      busy = false;
      form.querySelector("button").focus();
    }
  };

  if (!window.PublicKeyCredential || !navigator.credentials) {
    say("unsupported");
    form.querySelector("button").disabled = true;
    return;
  }
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    ask();
  });
  ask();
})();
