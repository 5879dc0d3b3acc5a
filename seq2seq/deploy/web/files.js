// Pictures and sound: chosen, dropped, or recorded.

const at = (id) => document.getElementById(id);
const LABELS = { image: "Picture", sound: "Sound" };
let shownUrl = "";

/** Opens the file input for a kind of input; take(file) gets each one, fail(message) what went wrong. */
export function attach(kind, take, fail) {
  at("file-label").textContent = LABELS[kind];
  Object.assign(at("file"), { accept: kind === "image" ? "image/*" : "audio/*", disabled: false });
  const use = (file) => {
    if (!file) return;
    show(kind, file);
    take(file);
  };
  at("file").addEventListener("change", () => use(at("file").files[0]));
  const drop = at("drop");
  for (const event of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(event, (given) => {
      given.preventDefault();
      drop.classList.toggle("over", event.startsWith("drag") && event !== "dragleave");
      if (event === "drop") use(given.dataTransfer.files[0]);
    });
  }
  if (kind === "sound" && navigator.mediaDevices && window.MediaRecorder) recorder(use, fail);
}

function show(kind, file) {
  URL.revokeObjectURL(shownUrl);
  shownUrl = URL.createObjectURL(file);
  const element = at(kind === "image" ? "picture" : "sound");
  Object.assign(element, { src: shownUrl, hidden: false });
}

/** A button that records until it is pressed again. */
function recorder(use, fail) {
  const button = at("record");
  let recording = null;
  button.hidden = false;
  button.addEventListener("click", async () => {
    if (recording) return recording.stop();
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      recording = new MediaRecorder(stream);
      const parts = [];
      recording.ondataavailable = ({ data }) => parts.push(data);
      recording.onstop = () => {
        stream.getTracks().forEach((track) => track.stop());
        use(new Blob(parts, { type: recording.mimeType }));
        recording = null;
        label(false);
      };
      recording.start();
      label(true);
    } catch (error) {
      recording = null;
      fail(`No sound from the microphone: ${error.message}`);
    }
  });
  const label = (active) => {
    button.setAttribute("aria-pressed", active);
    button.textContent = active ? "Stop" : "Record";
  };
}
