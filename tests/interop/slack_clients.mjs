// Slack's own JavaScript clients against our stand-in: what they can do with it, printed as JSON.
import { WebClient } from "@slack/web-api";
import { SocketModeClient } from "@slack/socket-mode";

const [base, channel] = process.argv.slice(2);
const web = new WebClient("xoxb-token", { slackApiUrl: `${base}/api/`, retryConfig: { retries: 0 } });
const done = {};

const who = await web.auth.test();
done.team = who.team_id;
const root = await web.chat.postMessage({
  channel,
  text: "from Node",
  blocks: [
    { type: "section", block_id: "s", text: { type: "mrkdwn", text: "from Node" } },
    { type: "actions", block_id: "a", elements: [{ type: "button", action_id: "press", value: "1", text: { type: "plain_text", text: "Press" } }] },
  ],
  metadata: { event_type: "interop", event_payload: { key: "k1" } },
});
await web.chat.postMessage({ channel, thread_ts: root.ts, text: "an answer" });
await web.chat.update({ channel, ts: root.ts, text: "edited", blocks: [{ type: "section", block_id: "s2", text: { type: "mrkdwn", text: "edited" } }, { type: "actions", block_id: "a2", elements: [{ type: "button", action_id: "press", value: "1", text: { type: "plain_text", text: "Press" } }] }] });
const history = await web.conversations.history({ channel, include_all_metadata: true });
done.metadata = history.messages[0].metadata.event_payload.key;
done.edited = history.messages[0].text;
done.replies = (await web.conversations.replies({ channel, ts: root.ts })).messages.length;
done.members = (await web.usergroups.users.list({ usergroup: "S0SOCIAL" })).users.length;
done.lookup = (await web.users.lookupByEmail({ email: "bob@acme.example" })).user.id;
try {
  await web.chat.postMessage({ channel: "C0NOWHERE", text: "x" });
} catch (error) {
  done.refused = error.data.error;
}

const socket = new SocketModeClient({ appToken: "xapp-token", clientOptions: { slackApiUrl: `${base}/api/` }, logLevel: "error" });
socket.on("interactive", async ({ ack, body }) => {
  await ack();
  const opened = await web.views.open({
    trigger_id: body.trigger_id,
    view: { type: "modal", title: { type: "plain_text", text: "Hello" }, blocks: [{ type: "section", text: { type: "mrkdwn", text: "hello" } }] },
  });
  done.clicked = body.actions[0].action_id;
  done.view = opened.view.id.length > 0;
  await web.views.update({ view_id: opened.view.id, view: { type: "modal", title: { type: "plain_text", text: "Bye" }, blocks: [{ type: "section", text: { type: "mrkdwn", text: "bye" } }] } });
  finish();
});
socket.on("slash_commands", async ({ ack, body }) => {
  done.command = body.text;
  await ack({ text: "heard" });
  finish();
});

async function finish() {
  if (!done.clicked || !done.command || !done.view) return;
  await socket.disconnect();
  console.log(JSON.stringify(done));
  process.exit(0);
}

await socket.start();
console.error("connected");
setTimeout(() => { console.log(JSON.stringify(done)); process.exit(1); }, 20000).unref();
