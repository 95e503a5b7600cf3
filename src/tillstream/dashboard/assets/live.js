// Fills the page that Dash laid out: from the live feed for today, from one snapshot for a past day.
(() => {
  "use strict";

  const SILENT_MS = 12000; // The feed speaks every 5 s at least: after two missed beats the line is dead.
  const BEHIND_MS = 5000;
  const SYMBOLS = { EUR: "€", USD: "$", GBP: "£", JPY: "¥" };
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const $ = (id) => document.getElementById(id);

  let shown = null; // the snapshot on the page
  let heardAt = 0;
  let connected = false;
  let trouble = "";

  // Figures stay decimal strings: they are grouped, never parsed.
  const group = (digits) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  const count = (number) => (number < 0 ? "−" : "") + group(String(Math.abs(number)));
  function parts(amount) {
    const negative = amount.startsWith("-");
    const [whole, rest] = amount.replace("-", "").split(".");
    return { sign: negative ? "−" : "", whole: group(whole), rest: rest ? "." + rest : "" };
  }
  const symbol = (currency) => SYMBOLS[currency] || currency + "\u00a0";
  function money(amount, currency) {
    if (amount === null) return "–";
    const { sign, whole, rest } = parts(amount);
    return sign + symbol(currency) + whole + rest;
  }
  const plural = (n, one, many) => count(n) + " " + (n === 1 ? one : many);
  function dayName(day) {
    const date = new Date(day + "T00:00:00Z");
    const year = day.slice(0, 4) === new Date().toISOString().slice(0, 4) ? "" : " " + day.slice(0, 4);
    return DAYS[date.getUTCDay()] + " " + date.getUTCDate() + " " + MONTHS[date.getUTCMonth()] + year;
  }
  function shifted(day, days) {
    const date = new Date(day + "T00:00:00Z");
    date.setUTCDate(date.getUTCDate() + days);
    return date.toISOString().slice(0, 10);
  }
  function span(ms) {
    if (ms < 10000) return (ms / 1000).toFixed(1) + " s";
    if (ms < 120000) return Math.floor(ms / 1000) + " s";
    if (ms < 7200000) return Math.floor(ms / 60000) + " min";
    if (ms < 172800000) return Math.floor(ms / 3600000) + " h";
    return count(Math.floor(ms / 86400000)) + " days";
  }
  function delay(ms) {
    if (ms === null) return ["–", ""];
    if (ms < 1000) return [String(Math.round(ms)), " ms"];
    return ms < 100000 ? [(ms / 1000).toFixed(1), " s"] : [span(ms), ""];
  }

  function say(id, text, small = "") {
    const element = $(id);
    const wanted = text + "\u0000" + small;
    if (element.dataset.text === wanted) return;
    element.dataset.text = wanted;
    element.textContent = text;
    if (small) {
      const rest = document.createElement("small");
      rest.textContent = small;
      element.append(rest);
    }
  }

  function figures(snapshot) {
    const s = snapshot.summary;
    const amount = parts(s.revenue);
    const revenue = amount.sign + symbol(s.currency) + amount.whole;
    $("revenue").classList.toggle("long", revenue.length + amount.rest.length > 12);
    say("revenue-title", snapshot.live ? "Sales so far" : "Sales of " + dayName(s.day));
    say("revenue", revenue, amount.rest);
    say("net", money(s.net, s.currency));
    say("tax", money(s.tax, s.currency));
    say("average-ticket", money(s.average_ticket, s.currency));
    say("receipts", count(s.receipts));
    say("receipts-note", s.duplicates ? plural(s.duplicates, "repeat", "repeats") + " not counted twice" : "each counted once");
    say("receipts-per-minute", s.receipts_per_minute === null ? "–" : count(s.receipts_per_minute));
    say("rate-note", snapshot.live ? "in the last 60 s" : "of a day gone by");
    waits("delay", s.ingest_delay_ms.p50, s.ingest_delay_ms.p99);
    waits("till-delay", s.till_delay_s.p50 && s.till_delay_s.p50 * 1000, s.till_delay_s.p99 && s.till_delay_s.p99 * 1000);
    say("items", count(s.items));
    say("items-note", s.receipts ? (s.items / s.receipts).toFixed(2) + " a receipt" : "");
    say("stores", count(s.stores_active));
    say("stores-note", plural(s.tills_active, "till", "tills"));
    document.title = (s.receipts ? revenue + amount.rest + " · " : "") + "tillstream";
  }

  function waits(id, p50, p99) {
    const [value, unit] = delay(p99);
    say(id, value, p99 === null ? "" : unit + " p99");
    say(id + "-note", p50 === null ? "not measured" : "half within " + delay(p50).join(""));
  }

  function item(kind, title, note, href) {
    const entry = document.createElement("li");
    const body = document.createElement(href ? "a" : "p");
    if (href) body.href = href;
    body.className = kind;
    const bold = document.createElement("b");
    bold.textContent = title;
    const small = document.createElement("span");
    small.className = "note";
    small.textContent = note;
    body.append(bold, small);
    entry.append(body);
    return entry;
  }

  function look(snapshot) {
    const s = snapshot.summary;
    const items = [];
    const others = snapshot.other_days;
    const total = others.reduce((sum, each) => sum + each.receipts, 0);
    if (others.length === 1) {
      items.push(item("", plural(total, "receipt", "receipts") + " arrived for other days", dayName(others[0].day), "/?day=" + others[0].day));
    } else if (others.length) {
      items.push(item("", plural(total, "receipt", "receipts") + " arrived for other days", "on " + others.length + " days; the latest:", "/receipts?arrived=" + s.day));
      for (const each of others.slice(0, 3)) {
        items.push(item("", dayName(each.day), plural(each.receipts, "receipt", "receipts"), "/?day=" + each.day));
      }
    }
    if (s.quarantined) items.push(item("bad", count(s.quarantined) + " refused", "kept whole, with the reasons", "/quarantine?day=" + s.day));
    if (s.conflicts) items.push(item("bad", plural(s.conflicts, "conflict", "conflicts"), "same receipt, other content: the first stands", "/quarantine?kind=conflict&day=" + s.day));
    if (s.anomalies) items.push(item("", plural(s.anomalies, "receipt", "receipts") + " with an anomaly", "counted, but worth a look", "/receipts?anomaly=any&day=" + s.day));
    if (!items.length) items.push(item("good", "All is well", "nothing refused, nothing odd"));
    const key = items.map((each) => each.innerHTML).join();
    if ($("look").dataset.key !== key) {
      $("look").dataset.key = key;
      $("look").replaceChildren(...items);
    }
  }

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue("--" + name).trim();
    return { ink: of("ink"), mute: of("mute"), faint: of("faint"), line: of("line"), card: of("card"), crust: of("crust"), crumb: of("crumb") };
  }
  function frame(c, more) {
    const font = { family: getComputedStyle(document.body).fontFamily, size: 11.5, color: c.faint };
    return Object.assign({
      font, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, dragmode: false,
      margin: { l: 6, r: 44, t: 8, b: 26 }, hovermode: "x",
      hoverlabel: { bgcolor: c.card, bordercolor: c.line, font: { family: font.family, size: 12, color: c.ink } },
    }, more);
  }
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };

  // Offsets are wall-clock minutes from the start of the business day; "UTC" here only avoids the browser's zone.
  function clock(start, offset) {
    return new Date(Date.parse(start + ":00Z") + offset * 60000).toISOString().slice(0, 16).replace("T", " ");
  }
  function timeAxis(c, from, to) {
    return { type: "date", range: [from, to], fixedrange: true, showgrid: false, zeroline: false, tickformat: "%H:%M", hoverformat: "%H:%M", nticks: 8, linecolor: c.line, ticks: "", color: c.faint };
  }
  function amountAxis(c, top) {
    return { side: "right", fixedrange: true, rangemode: "tozero", range: [0, top], gridcolor: c.line, zeroline: true, zerolinecolor: c.line, nticks: 4, tickformat: top >= 1000 ? "~s" : "", color: c.faint };
  }

  function plots(snapshot) {
    const c = colours();
    const { start, now, offset, revenue, receipts } = snapshot.minutes;
    const currency = snapshot.summary.currency;
    const last = Math.max(offset.length ? offset[offset.length - 1] : 0, now || 0);
    const first = Math.min(offset.length ? offset[0] - 1 : 0, last - 20);
    const width = last - first;
    const room = Math.ceil(width * 0.03);
    const from = clock(start, first), to = clock(start, first + width + room);

    const x = [clock(start, first)], y = [0], sums = [0];
    const rateX = [], rateY = [];
    let sum = 0, previous = first;
    offset.forEach((minute, i) => {
      if (minute > previous + 1) { x.push(clock(start, minute - 1)); y.push(sum); }
      sum += Number(revenue[i]); // a pixel's precision is enough for a line
      x.push(clock(start, minute)); y.push(sum); sums.push(sum);
      rateX.push(clock(start, minute)); rateY.push(receipts[i]);
      previous = minute;
    });
    if (offset.length && last > previous) { x.push(clock(start, last)); y.push(sum); }
    const end = { x: [x[x.length - 1]], y: [sum] };
    const top = Math.max(1, ...sums) * 1.14;
    const label = offset.length ? (snapshot.live ? "now, " : "until ") + end.x[0].slice(11) : "";
    const hover = symbol(currency) + "%{y:,.2f}<extra></extra>";
    Plotly.react($("pace"), [
      { x, y, mode: "lines", line: { color: c.crust, width: 2.4 }, fill: "tozeroy", fillcolor: c.crust + "1c", hovertemplate: hover },
      { ...end, mode: "markers+text", text: [label], textposition: "top left", textfont: { color: c.ink, size: 12 }, hoverinfo: "skip", cliponaxis: false,
        marker: { color: c.crust, size: 9, line: { color: c.crust + "33", width: 8 } } },
    ], frame(c, { xaxis: timeAxis(c, from, to), yaxis: amountAxis(c, top) }), CONFIG);

    Plotly.react($("rate"), [
      { type: "bar", x: rateX, y: rateY, width: 60000 * (width > 240 ? 1 : 0.8), marker: { color: c.crust, line: { width: 0 } }, hovertemplate: "%{y:,} receipts<extra></extra>" },
    ], frame(c, { xaxis: timeAxis(c, from, to), yaxis: amountAxis(c, Math.max(5, ...rateY) * 1.1), bargap: 0 }), CONFIG);
    categories(snapshot, c, currency);
  }

  function categories(snapshot, c, currency) {
    const rows = snapshot.categories.slice(0, 12);
    const names = rows.map((each) => each.category);
    const amounts = rows.map((each) => Number(each.revenue)), pieces = rows.map((each) => each.quantity);
    const bar = (values, texts, axis, colour, hover) => ({
      type: "bar", orientation: "h", y: names.map((_, i) => i), x: values, text: texts, textposition: "outside", cliponaxis: false, xaxis: axis,
      textfont: { color: c.ink, size: 12 }, marker: { color: colour, cornerradius: 4 }, hovertemplate: hover, width: 0.42,
    });
    const place = $("categories"), height = Math.max(120, 31 * rows.length + 12);
    const short = (name) => (name.length > 22 ? name.slice(0, 21) + "…" : name);
    const begin = Math.min(0.45, (12 + 7 * Math.max(0, ...names.map((name) => short(name).length))) / place.clientWidth);
    const middle = begin + (1 - begin) * 0.57;
    place.style.height = height + "px";
    // Room behind the longest bar for its text, which has a width in pixels while the axis has a share of the plot.
    const axis = (domain, values, texts) => {
      const width = (domain[1] - domain[0]) * place.clientWidth, text = 10 + 6.6 * Math.max(0, ...texts.map((each) => each.length));
      const scale = Math.max(1.05, width / Math.max(width * 0.2, width - text));
      return { domain, range: [Math.min(0, ...values) * scale, Math.max(1, ...values) * scale], visible: false, fixedrange: true };
    };
    const amountTexts = rows.map((each) => money(each.revenue, currency)), pieceTexts = rows.map((each) => count(each.quantity));
    Plotly.react(place, [
      bar(amounts, amountTexts, "x", c.crust, "%{text}<extra></extra>"),
      bar(pieces, pieceTexts, "x2", c.crumb, "%{text} pieces<extra></extra>"),
    ], frame(c, {
      margin: { l: 0, r: 0, t: 0, b: 0 }, hovermode: "closest", height,
      xaxis: axis([begin, middle - 0.02], amounts, amountTexts), xaxis2: axis([middle, 1], pieces, pieceTexts),
      yaxis: { range: [rows.length - 0.5, -0.5], fixedrange: true, showticklabels: false, showgrid: false, zeroline: false },
      annotations: names.map((name, i) => ({
        xref: "paper", x: 0, xanchor: "left", yref: "y", y: i, showarrow: false, captureevents: false, font: { size: 13, color: c.ink },
        text: short(name).replace(/[<&]/g, (sign) => (sign === "<" ? "&lt;" : "&amp;")), // Plotly reads tags in labels
      })),
    }), CONFIG);
  }

  function draw(snapshot) {
    const empty = snapshot.live && snapshot.summary.receipts === 0;
    $("welcome").hidden = !empty;
    $("figures").classList.toggle("empty", empty);
    shown = snapshot;
    figures(snapshot);
    look(snapshot);
    plots(snapshot);
    const day = snapshot.summary.day;
    if ($("page").dataset.day !== day) {
      $("page").dataset.day = day;
      $("day").value = day;
      $("day-before").href = "/?day=" + shifted(day, -1);
      $("day-after").href = snapshot.live ? "/" : "/?day=" + shifted(day, 1);
      $("nav-today").classList.toggle("on", snapshot.live);
    }
    $("page").dataset.drawn = String(Number($("page").dataset.drawn || 0) + 1);
  }

  // How old the figures are: what the server said, and what has passed since.
  function freshness() {
    const pill = $("freshness");
    const state = (name, bold, rest) => {
      pill.dataset.state = name;
      const text = bold + (rest ? " · " + rest : "");
      if (pill.dataset.text !== text) {
        pill.dataset.text = text;
        const b = document.createElement("b");
        b.textContent = bold;
        pill.replaceChildren(b, rest ? " · " + rest : "");
      }
      $("figures").classList.toggle("stale-figures", name === "stale");
    };
    if (trouble) return state("stale", "Not live", trouble);
    if (!shown) return state("", "Connecting…", "");
    if (!shown.live) return state("", dayName(shown.summary.day), "as counted so far");
    const since = Date.now() - heardAt, age = since + shown.age_ms;
    if (!connected || since > SILENT_MS) return state("stale", "Not live", "figures " + span(age) + " old");
    if (shown.age_ms > BEHIND_MS) return state("behind", "Behind", span(age) + ", " + count(shown.lag) + " to come");
    return state("live", "Live", span(age) + " old");
  }

  function take(snapshot) {
    trouble = "";
    heardAt = Date.now();
    draw(snapshot);
    freshness();
  }

  function watch() {
    const feed = new EventSource("/api/v1/live");
    feed.addEventListener("open", () => { connected = true; });
    feed.addEventListener("snapshot", (event) => { connected = true; take(JSON.parse(event.data)); });
    feed.addEventListener("trouble", (event) => { trouble = JSON.parse(event.data).error; freshness(); });
    feed.addEventListener("error", () => {
      connected = false;
      freshness();
      // A browser gives up for good when the answer is not a stream, as while the server starts.
      if (feed.readyState === EventSource.CLOSED) setTimeout(watch, 1000);
    });
  }

  async function show(day) {
    try {
      const answer = await fetch("/api/v1/snapshot?day=" + encodeURIComponent(day));
      const body = await answer.json();
      if (!answer.ok) { trouble = body.errors[0].error; return freshness(); }
      take(body);
      if (body.live) { connected = true; watch(); }
    } catch (error) {
      trouble = "the server does not answer";
      freshness();
    }
    return undefined;
  }

  function start() {
    const day = new URLSearchParams(location.search).get("day");
    const picker = document.createElement("input");
    Object.assign(picker, { id: "day", type: "date", ariaLabel: "business day" });
    picker.addEventListener("change", () => { if (picker.value) location.assign("/?day=" + picker.value); });
    $("day-slot").append(picker);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (shown) draw(shown); });
    setInterval(freshness, 200);
    // A plot that was drawn while its card was hidden, or narrower, has another size than its place.
    const fit = new ResizeObserver((entries) => {
      for (const { target } of entries) if (target.data && target.clientWidth) Plotly.Plots.resize(target);
    });
    for (const id of ["pace", "rate"]) fit.observe($(id));
    if (day) show(day); else watch();
  }

  // Dash renders after this script has run, and Plotly comes as a file of its own.
  const waiting = setInterval(() => {
    if (!$("page") || !window.Plotly) return;
    clearInterval(waiting);
    start();
  }, 30);
})();
