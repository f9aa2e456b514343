// What Chromium's trace says of the main thread of a page: its tasks, how long each was, how much of that its thread ran,
// and what it did: script, collecting garbage, style, layout, paint.
//
// Where a task took longer than its thread ran, others had the core, or it waited for the threads that raster and draw.

/** What events are about, by their names. What is not here belongs to what it is part of. */
const KINDS = {
  script: ['EvaluateScript', 'FunctionCall', 'FireAnimationFrame', 'TimerFire', 'EventDispatch', 'RunMicrotasks', 'v8.callFunction', 'v8.run'],
  garbage: ['MinorGC', 'MajorGC', 'V8.GCIncrementalMarking', 'V8.GCFinalizeMC', 'V8.GCScavenger', 'BlinkGC.AtomicPhase'],
  style: ['UpdateLayoutTree', 'ParseAuthorStyleSheet'],
  layout: ['Layout', 'HitTest'],
  paint: ['PrePaint', 'Paint', 'UpdateLayer', 'UpdateLayerTree', 'Layerize', 'Commit', 'CompositeLayers'],
};

const KIND_OF = new Map(Object.entries(KINDS).flatMap(([kind, names]) => names.map((name) => [name, kind])));

/** Tasks from here on are long, in milliseconds. */
const LONG_MS = 50;

const LONGEST = 5;

export class Trace {
  static CATEGORIES = ['-*', 'devtools.timeline', 'disabled-by-default-devtools.timeline', 'v8', 'blink_gc'];

  constructor(events) {
    const whole = events.filter(({ ph }) => ph === 'X').sort((one, other) => one.ts - other.ts || other.dur - one.dur);
    const threads = events.filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain');
    // Of the renderers, the page that was used is the one that worked most.
    const mains = threads.map(({ pid, tid }) => Trace.#tasks(whole.filter((event) => event.pid === pid && event.tid === tid)));
    const work = (tasks) => tasks.reduce((sum, { ms }) => sum + ms, 0);
    this.tasks = mains.sort((one, other) => work(other) - work(one))[0] ?? [];
  }

  /** Tasks, with the time that the thread ran for each kind: that of an event is no part of what it is in. */
  static #tasks(events) {
    const tasks = [];
    const open = [];
    for (const { name, ts, dur = 0, tdur: ran = 0 } of events) {
      while (open.length > 0 && open.at(-1).end <= ts) open.pop();
      if (open.length === 0 && name !== 'RunTask') continue;
      if (open.length === 0) tasks.push({ ms: dur / 1000, ranMs: ran / 1000, kinds: {} });
      const kind = KIND_OF.get(name) ?? open.at(-1)?.kind ?? 'other';
      const { kinds } = tasks.at(-1);
      kinds[kind] = (kinds[kind] ?? 0) + ran / 1000;
      const parent = open.at(-1);
      if (parent !== undefined) kinds[parent.kind] -= ran / 1000;
      open.push({ kind, end: ts + dur });
    }
    return tasks;
  }

  print(seconds) {
    const { tasks } = this;
    const longest = tasks.toSorted((one, other) => other.ranMs - one.ranMs);
    const long = tasks.filter(({ ms }) => ms >= LONG_MS).length;
    const ran = tasks.filter(({ ranMs }) => ranMs >= LONG_MS).length;
    const most = (of) => tasks.reduce((most, task) => Math.max(most, of(task)), 0).toFixed(0);
    const scripted = ({ kinds }) => (kinds.script ?? 0) + (kinds.garbage ?? 0);
    console.log(`longest task ${most(({ ms }) => ms)} ms by the clock; the thread ran at most ${most(({ ranMs }) => ranMs)} ms in one, script at most ${most(scripted)} ms`);
    console.log(`${long} tasks of ${LONG_MS} ms or more by the clock, ${ran} in which the thread ran that long`);
    for (const { ms, ranMs, kinds } of longest.slice(0, LONGEST)) {
      console.log(`  ran ${ranMs.toFixed(1)} ms of ${ms.toFixed(0)}: ${said(kinds)}`);
    }
    const all = {};
    for (const { kinds } of tasks) {
      for (const [kind, ms] of Object.entries(kinds)) all[kind] = (all[kind] ?? 0) + ms / seconds;
    }
    console.log(`of each second the thread ran: ${said(all)}`);
  }
}

function said(kinds) {
  const parts = Object.entries(kinds).filter(([, ms]) => ms >= 0.5).sort(([, one], [, other]) => other - one);
  return parts.map(([kind, ms]) => `${kind} ${ms.toFixed(1)} ms`).join(', ');
}
