// Passkeys (WebAuthn Level 3): asks the browser for one, puts its answer into the form, and sends the form.
(() => {
  "use strict";
  const form = document.querySelector("form[data-passkey]");
  if (!form || !window.PublicKeyCredential || location.origin !== form.dataset.origin) return;

  const making = form.dataset.passkey === "create";
  const said = form.querySelector("[data-said]");
  const button = form.querySelector("button");
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  const publicKey = JSON.parse(form.dataset.options);
  publicKey.challenge = bytes(publicKey.challenge);
  if (publicKey.user) publicKey.user.id = bytes(publicKey.user.id);
  for (const known of [...(publicKey.allowCredentials || []), ...(publicKey.excludeCredentials || [])]) known.id = bytes(known.id);

  const send = (credential) => {
    const { id, type, response } = credential;
    const answer = { id, rawId: id, type, response: { clientDataJSON: text(response.clientDataJSON) } };
    if (making) {
      answer.response.attestationObject = text(response.attestationObject);
      answer.response.transports = response.getTransports ? response.getTransports() : [];
    } else {
      answer.response.authenticatorData = text(response.authenticatorData);
      answer.response.signature = text(response.signature);
      if (response.userHandle) answer.response.userHandle = text(response.userHandle);
    }
    form.elements.credential.value = JSON.stringify(answer);
    form.submit();
  };

  const fail = (fault) => {
    const why = { NotAllowedError: "cancelled", AbortError: "cancelled", InvalidStateError: "known" }[fault.name] || "failed";
    said.textContent = form.dataset[why] || form.dataset.failed;
    said.hidden = false;
    button.disabled = false;
  };

  let waiting = new AbortController();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    waiting.abort();
    said.hidden = true;
    button.disabled = true;
    try {
      send(await navigator.credentials[making ? "create" : "get"]({ publicKey }));
    } catch (fault) {
      fail(fault);
    }
  });
  document.querySelectorAll("[data-passkey-shown]").forEach((part) => (part.hidden = false));
  document.querySelectorAll("[data-passkey-hidden]").forEach((part) => (part.hidden = true));
  form.hidden = false;

  // In the list that the browser shows at the e-mail field, passkeys come first; nothing happens until one is chosen.
  const email = document.querySelector("input[autocomplete~=webauthn]");
  if (making || !email || !PublicKeyCredential.isConditionalMediationAvailable) return;
  PublicKeyCredential.isConditionalMediationAvailable().then((can) => {
    if (!can || waiting.signal.aborted) return;
    navigator.credentials.get({ publicKey, mediation: "conditional", signal: waiting.signal }).then(send, () => {});
  });
})();
