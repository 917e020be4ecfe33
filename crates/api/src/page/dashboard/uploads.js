// Files that are dropped or chosen.

import { sendFile, sentence, session } from "./api.js";
import { openJob } from "./jobs.js";
import { refresh } from "./lists.js";
import { $, element, opens } from "./view.js";

async function upload(files) {
  for (const file of files) {
    const bar = element("progress", { max: 1, value: 0 });
    const outcome = element("span", { className: "outcome" }, bar);
    $("#uploads").append(element("li", {}, element("span", { className: "name" }, file.name), outcome));
    try {
      const taken = await sendFile(file, (share) => { bar.value = share; });
      outcome.replaceChildren(opens(element("span", { className: "link" }, "taken in"), () => openJob(taken.job_id)));
    } catch (error) {
      if (error.status === 401) return session.end(sentence(error));
      outcome.replaceChildren(element("span", { className: "bad" }, sentence(error)));
    }
    refresh();
  }
}

const drop = $("#drop");
drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  upload([...event.dataTransfer.files]);
});
$("#files").addEventListener("change", (event) => { upload([...event.target.files]); event.target.value = ""; });
