// The live refit's page: what its reader does goes to the kernel, what the kernel fits is drawn. Nothing is computed here.

const REST = 1000; // milliseconds without a move, after which the kernel resamples the fit: about a second's work

const FRAME = `
<div class="asked">
  <label>law <select name="law"></select></label>
  <label>objective <select name="objective"></select></label>
  <label>compute from <output></output><input type="range" name="from"></label>
  <label>to <output></output><input type="range" name="to"></label>
  <button name="keep">leave the marked runs out</button>
  <button name="back">all runs back</button>
</div>
<p class="how">Drag over runs to leave them out while the mark lies on them; click a run to leave it out or to take it back.</p>
<p class="said" role="status"></p>
<div class="chart" role="group" tabindex="0" aria-label="loss against compute"></div>
<div class="chart" role="group" tabindex="0" aria-label="what the law misses"></div>
<div class="table"></div>
<div class="line"><pre tabindex="0"><code></code></pre><button name="copy">copy</button></div>`;

/** vega-embed: the page's own, else the kernel's, which sends it once. */
async function library(model) {
  window.scalingVega ??= window.vegaEmbed ? Promise.resolve() : new Promise(resolve => {
    model.on("msg:custom", message => {
      if (message.vega && !window.vegaEmbed) new Function(message.vega)();
      if (message.vega) resolve();
    });
    model.send({ask: "vega"});
  });
  await window.scalingVega;
  return window.vegaEmbed;
}

const power = log10 => {
  const whole = Math.floor(log10 + 0.0022);
  return `${(10 ** (log10 - whole)).toFixed(1)} × 10${[...String(whole)].map(d => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]).join("")} FLOPs`;
};

async function render({model, el}) {
  const vegaEmbed = await library(model);
  el.classList.add("scaling-refit");
  el.innerHTML = FRAME;
  const part = name => el.querySelector(`[name=${name}]`);
  const {charts, laws, objectives, ends} = model.get("page");
  let chosen = new Set(model.get("left_out")), marked = new Set(), rest;
  const sent = new Map();

  const ask = changed => {
    clearTimeout(rest);
    const asked = model.get("asked") + 1;
    sent.set(asked, performance.now());
    model.set({...changed, asked});
    model.save_changes();
  };
  const askRuns = () => {
    const rows = [...new Set([...chosen, ...marked])].sort((a, b) => a - b);
    if (String(rows) !== String(model.get("left_out"))) ask({left_out: rows});
  };

  for (const [name, choices] of [["law", laws], ["objective", objectives]]) {
    part(name).append(...choices.map(choice => new Option(choice)));
    part(name).onchange = event => ask({[name]: event.target.value});
  }
  const slide = [part("from"), part("to")];
  for (const [i, slider] of slide.entries()) {
    [slider.min, slider.max, slider.step] = [ends[0], ends[1], "any"];
    slider.oninput = () => {
      const other = Number(slide[1 - i].value), value = Number(slider.value);
      if (i ? value < other : value > other) slide[1 - i].value = value;
      ask({window: slide.map(each => Number(each.value))});
    };
  }

  const options = {renderer: "svg", actions: false, tooltip: {theme: "custom"}};
  const places = [...el.querySelectorAll(".chart")];
  const views = [];
  for (const [i, spec] of charts.entries()) views.push((await vegaEmbed(places[i], spec, options)).view);
  const all = JSON.parse(JSON.stringify(views[0].data("runs"))); // without what Vega notes in them

  const unmark = () => views[0].signal("brush_x", [0, 0]).signal("brush_y", [0, 0]).runAsync();
  views[0].addSignalListener("brush", (_, {C, loss}) => {
    const within = (value, span) => span && value >= Math.min(...span) && value <= Math.max(...span);
    marked = new Set(all.filter(run => within(run.C, C) && within(run.loss, loss)).map(run => run.row));
    askRuns();
  });
  for (const view of views)
    view.addEventListener("click", (_, item) => {
      const row = item?.datum?.row;
      if (row === undefined) return;
      chosen.has(row) ? chosen.delete(row) : chosen.add(row);
      askRuns();
    });
  part("keep").onclick = () => { chosen = new Set([...chosen, ...marked]); unmark(); };
  part("back").onclick = () => {
    chosen.clear(); marked.clear(); unmark();
    if (String(model.get("window")) !== String(ends)) ask({window: ends, left_out: []});
    else askRuns();
  };
  part("copy").onclick = () => navigator.clipboard.writeText(model.get("state").line);

  const draw = async () => {
    const state = model.get("state");
    clearTimeout(rest);
    for (const name of ["law", "objective"]) part(name).value = model.get(name);
    model.get("window").forEach((end, i) => {
      slide[i].value = end;
      slide[i].previousElementSibling.textContent = power(end);
      slide[i].setAttribute("aria-valuetext", power(end));
    });
    el.querySelector("code").textContent = state.line;
    const before = sent.get(state.asked), shown = el.querySelector(".said");
    const runs = all.map((run, i) => ({...run, out: state.out[i], residual: state.residual?.[i] ?? 0}));
    if (state.error) {
      shown.textContent = `${state.said}. ${state.error}`;
      el.querySelector(".table").textContent = "";
    } else {
      el.querySelector(".table").innerHTML = state.table;
      views[0].data("curves", state.curves).data("frontier", state.frontier);
    }
    for (const view of views) view.data("runs", runs);
    await Promise.all(views.map(view => view.runAsync()));
    const moved = before !== undefined && !state.draws;
    if (moved) el.dataset.ms = performance.now() - before;
    if (!state.error)
      shown.textContent = state.said + (moved ? `; fitted and drawn in ${Math.round(el.dataset.ms)} ms` : "");
    [el.dataset.asked, el.dataset.draws] = [state.asked, state.draws];
    if (!state.draws && !state.error) rest = setTimeout(() => model.send({ask: "rest"}), REST);
  };
  const heard = () => {
    const out = model.get("left_out"), own = new Set([...chosen, ...marked]);
    if (out.length !== own.size || out.some(row => !own.has(row))) [chosen, marked] = [new Set(out), new Set()];
  };
  model.on("change:state", draw);
  model.on("change:left_out", heard);
  let width = 0;
  const watch = new ResizeObserver(() => {
    if (el.clientWidth !== width) { width = el.clientWidth; dispatchEvent(new Event("resize")); }
  });
  watch.observe(el);
  await draw();

  return () => {
    clearTimeout(rest);
    watch.disconnect();
    model.off("change:state", draw);
    model.off("change:left_out", heard);
    views.forEach(view => view.finalize());
  };
}

export default {render};
