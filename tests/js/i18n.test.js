import assert from "node:assert/strict";
import { test } from "node:test";
import { preferredLanguage, setMessages, t } from "#page/i18n.js";
import { useLanguage } from "./support.js";

test("the address is asked first, then the cookie, then the browser", () => {
  assert.equal(preferredLanguage("?lang=fr", "lang=en", ["en-US"]), "fr");
  assert.equal(preferredLanguage("?lang=xx", "session=1; lang=fr", ["en-US"]), "fr");
  assert.equal(preferredLanguage("", "", ["de-DE", "fr-CA", "en"]), "fr");
  assert.equal(preferredLanguage("", "other_lang=fr", ["de"]), "en");
});

test("placeholders are filled in, and those without a value stay", () => {
  setMessages("en", { greeting: "{name} owes {amount}" });
  assert.equal(t("greeting", { name: "$&" }), "$& owes {amount}");
  assert.equal(t("unknown"), "unknown");
});

test("the count selects the plural form of the language", () => {
  useLanguage("en");
  assert.equal(t("tills_reporting", { count: 0, number: "0" }), "0 tills");
  assert.equal(t("tills_reporting", { count: 1, number: "1" }), "1 till");
  useLanguage("fr");
  assert.equal(t("tills_reporting", { count: 0, number: "0" }), "0 caisse");
  assert.equal(t("tills_reporting", { count: 1_000_000, number: "many" }), "many caisses");
});
