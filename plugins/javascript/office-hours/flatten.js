// Owns the second step of the build: node flatten.js NESTED FLAT
//
// componentize-qjs writes a component inside of a component. The inner one is the program: the interpreter, your code
// and a memory that already holds both. It imports the contract, but also WASI, because the interpreter could ask for
// the time or write to standard output. A server takes neither: no plugin may import more than the contract, and the
// snapshot after `configure` is not taken of a component inside of another. `componentize-qjs --stub-wasi` answers the
// first and makes the second worse, with two levels more.
//
// So the inner component is taken out of the outer one, and what is not of the contract is taken out of its imports.
// Whatever calls it from then on traps, and the decision becomes a fault.
//
// All that a component has is numbered, each kind in the order in which it appears, and is referred to by its number.
// So nothing is left out here: what goes is replaced, in its place, by something of its kind. The binary format is
// https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md. What is not known here is an error:
// another version of componentize-qjs may need another version of this.

import { readFileSync, writeFileSync } from "node:fs";

/** Imports that stay begin like this, and so do exports. */
const CONTRACT = "kernex:policy/";
/** A function that every policy world imports: it stands where a removed function stood. */
const KEPT = { instance: `${CONTRACT}facts@`, name: "get" };
/** Sections of a component. */
const [CUSTOM, MODULE, CORE_INSTANCES, COMPONENT, INSTANCES] = [0, 1, 2, 4, 5];
const [ALIASES, TYPES, CANON, IMPORTS, EXPORTS] = [6, 7, 8, 10, 11];
/** Of the parts of a component, those that are taken over as they are. */
const UNTOUCHED = [MODULE, CORE_INSTANCES, COMPONENT, INSTANCES];
/** Sections of a module. */
const MODULE_SECTIONS = { types: 1, imports: 2, functions: 3, exports: 7, code: 10 };
/** Kinds of things, in aliases and exports. */
const SORT = { core: 0, function: 1, type: 3, instance: 5 };
/** How functions cross between the program and the host; `drop` is for what WASI calls resources. */
const CANONICAL = { lift: 0, lower: 1, drop: 3 };
const EMPTY_INSTANCE = section(INSTANCES, [1, 0x01, 0]);
const ANY_TYPE = section(TYPES, [1, 0x7d]);
/** The body of a function without locals: `unreachable`, `end`. */
const TRAP = [3, 0, 0x00, 0x0b];

class Reader {
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte() {
    return this.bytes[this.at++];
  }

  number() {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  text() {
    return this.take(this.number()).toString();
  }

  list(item) {
    return Array.from({ length: this.number() }, item);
  }
}

function number(value) {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...number(value >>> 7)];
}

function text(value) {
  return [...number(Buffer.byteLength(value)), ...Buffer.from(value)];
}

function section(id, body) {
  return Buffer.concat([Buffer.from([id, ...number(body.length)]), Buffer.from(body)]);
}

/** The sections after the eight bytes that every file begins with. */
function sections(bytes) {
  const reader = new Reader(bytes, 8);
  const found = [];
  while (reader.at < bytes.length) {
    found.push({ id: reader.byte(), body: reader.take(reader.number()) });
  }
  return found;
}

/** Of a core module: its types as bytes, and its imports. */
function readModule(bytes) {
  const module = { types: [], imports: [] };
  for (const { id, body } of sections(bytes)) {
    const reader = new Reader(body);
    const limits = () => Array.from({ length: reader.byte() & 1 ? 2 : 1 }, () => reader.number());
    const imported = () => {
      const found = { module: reader.text(), name: reader.text() };
      const kind = reader.byte();
      if (kind > 3) throw new Error(`an import of kind ${kind}`);
      if (kind === 0) found.type = reader.number();
      if (kind === 1) reader.byte();
      if (kind === 1 || kind === 2) limits();
      if (kind === 3) reader.take(2);
      return found;
    };
    const type = () => {
      const from = reader.at;
      if (reader.byte() !== 0x60) throw new Error("a type that is no function's");
      reader.take(reader.number());
      reader.take(reader.number());
      return body.subarray(from, reader.at);
    };
    if (id === MODULE_SECTIONS.types) module.types = reader.list(type);
    if (id === MODULE_SECTIONS.imports) module.imports = reader.list(imported);
  }
  return module;
}

/** The core modules of a component, and what is made of them: instances of a module, or bundles of what others have. */
function readCore(parts) {
  const modules = parts.filter(({ id }) => id === MODULE).map(({ body }) => readModule(body));
  const instances = parts.filter(({ id }) => id === CORE_INSTANCES).flatMap(({ body }) => {
    const reader = new Reader(body);
    const named = () => ({ name: reader.text(), sort: reader.byte(), index: reader.number() });
    const isInstance = () => reader.byte() === 0;
    return reader.list(() =>
      isInstance() ? { module: reader.number(), given: reader.list(named) } : { bundle: reader.list(named) },
    );
  });
  return { modules, instances };
}

/** The type of each core function that is handed to a module, by its number: that of the module's import. */
function handedOver({ modules, instances }) {
  const types = new Map();
  for (const { module, given = [] } of instances) {
    for (const { name, index } of given) {
      for (const item of instances[index].bundle?.filter(({ sort }) => sort === 0) ?? []) {
        const wanted = modules[module].imports.find((wanted) => wanted.module === name && wanted.name === item.name);
        if (wanted) types.set(item.index, modules[module].types[wanted.type]);
      }
    }
  }
  return types;
}

/** Functions that trap, one of each type that is asked for; they are added to a module that is there already. */
class Traps {
  constructor(types) {
    this.types = types;
    this.made = new Map();
  }

  /** Stands for the core function of this number. */
  for(index) {
    const type = this.types.get(index);
    if (!type) throw new Error(`nobody says of what type core function ${index} is`);
    const key = type.toString("hex");
    if (!this.made.has(key)) this.made.set(key, { name: `trap-${this.made.size}`, type });
    return section(ALIASES, [1, SORT.core, 0, 0x01, 0, ...text(this.made.get(key).name)]);
  }

  addTo(module) {
    const made = [...this.made.values()];
    const parts = sections(module);
    const counted = ({ body }) => new Reader(body).number();
    const count = (wanted) => counted(parts.find(({ id }) => id === wanted));
    const { types, functions, exports, code } = MODULE_SECTIONS;
    const added = {
      [types]: made.map(({ type }) => [...type]),
      [functions]: made.map((_, index) => number(count(types) + index)),
      [exports]: made.map(({ name }, index) => [...text(name), 0, ...number(count(functions) + index)]),
      [code]: made.map(() => TRAP),
    };
    const longer = parts.map(({ id, body }) => {
      if (!added[id]) return section(id, body);
      const reader = new Reader(body);
      return section(id, [...number(reader.number() + made.length), ...body.subarray(reader.at), ...added[id].flat()]);
    });
    return section(MODULE, Buffer.concat([module.subarray(0, 8), ...longer]));
  }
}

/** The component without the imports and exports that are not of the contract. */
class Flat {
  constructor(component) {
    this.parts = sections(component);
    const core = readCore(this.parts);
    this.traps = new Traps(handedOver(core));
    // What is instantiated first needs nothing, and what it exports is there for all that follows.
    this.first = core.instances[0].module;
    this.written = [component.subarray(0, 8)];
    this.count = { module: 0, instance: 0, type: 0, function: 0, core: 0 };
    this.removed = { instance: new Set(), type: new Set(), function: new Set() };
  }

  bytes() {
    this.parts.forEach((part, at) => this.part(part, this.parts[at + 1]));
    // Which traps there are is known only now.
    this.written[this.trapping.at] = this.traps.addTo(this.trapping.module);
    return Buffer.concat(this.written);
  }

  part({ id, body }, next) {
    const reader = new Reader(body);
    const items = (one) => reader.list(() => {
      const from = reader.at;
      const replaced = one(reader);
      this.written.push(replaced ?? section(id, [1, ...body.subarray(from, reader.at)]));
    });
    if (id === ALIASES) items(() => this.alias(reader));
    else if (id === CANON) items(() => this.canon(reader));
    else if (id === IMPORTS) items(() => this.import(reader));
    else if (id === EXPORTS) items(() => this.export(reader));
    else if (id === TYPES) this.written.push(this.type(reader.number(), next) ?? section(id, body));
    else if (UNTOUCHED.includes(id)) this.written.push(section(id, body));
    else if (id !== CUSTOM) throw new Error(`a section ${id}`);
    if (id === INSTANCES) this.count.instance += reader.number();
    if (id === MODULE && this.count.module++ === this.first) {
      this.trapping = { at: this.written.length - 1, module: body };
    }
  }

  /** The type of an import comes right before it, and goes with it: it may refer to other types that go. */
  type(count, next) {
    this.count.type += count;
    const imported = next?.id === IMPORTS && new Reader(next.body, 2).text();
    return count === 1 && imported && !imported.startsWith(CONTRACT) ? ANY_TYPE : undefined;
  }

  import(reader) {
    const [, name, sort] = [reader.byte(), reader.text(), reader.byte(), reader.number()];
    if (sort !== SORT.instance) throw new Error(`the import ${name} is no interface`);
    const index = this.count.instance++;
    if (name.startsWith(KEPT.instance)) this.kept = index;
    if (name.startsWith(CONTRACT)) return undefined;
    this.removed.instance.add(index);
    return EMPTY_INSTANCE;
  }

  export(reader) {
    const [, name, sort, , ascribed] = [reader.byte(), reader.text(), reader.byte(), reader.number(), reader.byte()];
    if (ascribed) throw new Error(`the export ${name} has a type of its own`);
    if (sort === SORT.instance && name.startsWith(CONTRACT)) {
      this.count.instance++;
      return undefined;
    }
    // By `init` the interpreter was given the program, while the component was made.
    if (sort !== SORT.function || name !== "init") throw new Error(`the export ${name} is not of the contract`);
    this.count.function++;
    return this.otherFunction();
  }

  alias(reader) {
    const sort = reader.byte();
    const isCoreFunction = sort === SORT.core && reader.byte() === 0;
    const [target, instance] = [reader.byte(), reader.number()];
    if (target === 2) reader.number();
    else reader.text();
    const goes = target === 0 && this.removed.instance.has(instance);
    if (isCoreFunction) this.count.core++;
    if (sort === SORT.type) return this.replaced("type", goes) && ANY_TYPE;
    if (sort === SORT.function) return this.replaced("function", goes) && this.otherFunction();
    if (sort !== SORT.core) throw new Error(`an alias of sort ${sort}`);
    return undefined;
  }

  /** Counts one more of its kind; whether it is replaced. */
  replaced(kind, goes) {
    const index = this.count[kind]++;
    if (goes) this.removed[kind].add(index);
    return goes || undefined;
  }

  canon(reader) {
    const kind = reader.byte();
    if (kind === CANONICAL.lift) {
      reader.take(1);
      reader.number();
      this.options(reader);
      reader.number();
      this.count.function++;
      return undefined;
    }
    const core = this.count.core++;
    if (kind === CANONICAL.lower) {
      reader.take(1);
      const goes = this.removed.function.has(reader.number());
      this.options(reader);
      return goes ? this.traps.for(core) : undefined;
    }
    if (kind !== CANONICAL.drop) throw new Error(`a canonical function of kind ${kind}`);
    return this.removed.type.has(reader.number()) ? this.traps.for(core) : undefined;
  }

  options(reader) {
    reader.list(() => {
      const kind = reader.byte();
      if (kind > 5) throw new Error(`an option of kind ${kind}: was it built with --sync?`);
      if (kind >= 3) reader.number();
    });
  }

  otherFunction() {
    if (this.kept === undefined) throw new Error(`${KEPT.instance} is not imported`);
    return section(ALIASES, [1, SORT.function, 0x00, ...number(this.kept), ...text(KEPT.name)]);
  }
}

const [nested, flat] = process.argv.slice(2);
const isProgram = ({ id, body }) => id === COMPONENT && body.includes(`${CONTRACT}lifecycle@`);
const program = sections(readFileSync(nested)).find(isProgram);
if (!program) throw new Error(`${nested} has no component inside that serves the contract`);
writeFileSync(flat, new Flat(program.body).bytes());
