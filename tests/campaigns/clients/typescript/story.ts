// The README's story, told with the types that openapi-typescript made of the document.
import createClient from "openapi-fetch";
import type { components, paths } from "./tixxety.js";

declare const process: { env: Record<string, string | undefined> };

type Reservation = components["schemas"]["ReservationAnswer"];

const SECONDS_MAX = 60;
const baseUrl = process.env["API"] ?? "http://127.0.0.1:8000";
const holdSeconds = Number(process.env["HOLD_SECONDS"] ?? 120);
const suffix = crypto.randomUUID().slice(0, 8);
const password = "correct horse battery";
const anybody = createClient<paths>({ baseUrl });

// What was answered; fails with the problem where there was one.
function said<Data>(answer: { data?: Data; error?: unknown }): Data {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

async function logIn(name: string) {
  const email = `${name}-${suffix}@example.com`;
  said(await anybody.POST("/auth/register", { body: { email, password, name } }));
  const token = said(
    await anybody.POST("/auth/login", {
      body: { username: email, password },
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
    }),
  );
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token.access_token}` } });
}

function inDays(days: number): string {
  return new Date(Date.now() + days * 86_400_000).toISOString();
}

const [olga, ann, ben, cleo] = [await logIn("olga"), await logIn("ann"), await logIn("ben"), await logIn("cleo")];

const event = said(
  await olga.POST("/events", {
    body: {
      title: `Midsummer concert ${suffix}`,
      starts_at: inDays(30),
      ends_at: inDays(31),
      city: "Riga",
      total_tickets: 2,
      hold_seconds: holdSeconds,
    },
  }),
);
const wish = { body: { event_id: event.id } };
const anns: Reservation = said(await ann.POST("/reservations", wish));
let bens: Reservation = said(await ben.POST("/reservations", wish));

const refused = (await cleo.POST("/reservations", wish)).error;
if (refused?.type !== "/problems/sold-out") throw new Error(JSON.stringify(refused));
// The type says which problem it is, and so which facts come with it.
if (refused.available !== 0) throw new Error("there is a ticket left");
console.log(`Cleo is refused: ${refused.type}`);

const ofAnn = { params: { path: { reservation_id: anns.id } } };
console.log(`Ann has paid: ${said(await ann.POST("/reservations/{reservation_id}/pay", ofAnn)).status}`);

console.log(`Ben does nothing for ${holdSeconds} seconds ...`);
const ofBen = { params: { path: { reservation_id: bens.id } } };
for (const end = Date.now() + (holdSeconds + SECONDS_MAX) * 1000; bens.status === "reserved" && Date.now() < end; ) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  bens = said(await ben.GET("/reservations/{reservation_id}", ofBen));
}
console.log(`Ben was too late: ${bens.status}`);

console.log(`Cleo gets the ticket: ${said(await cleo.POST("/reservations", wish)).status}`);
