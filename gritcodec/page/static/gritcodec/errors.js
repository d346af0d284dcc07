// What can go wrong

/** A file that is refused: its message tells a person why. */
export class Refusal extends Error {
  /** @param {string} message */
  constructor(message) { super(message); this.name = 'Refusal' }
}
/** A file that another model made. */
export class WrongModel extends Refusal {
  /** @param {string} message */
  constructor(message) { super(message); this.name = 'WrongModel' }
}
/** Weights that are none, or not those that are needed. */
export class ModelError extends Error {
  /** @param {string} message */
  constructor(message) { super(message); this.name = 'ModelError' }
}
/** Bytes that are not what the page says: another of its rules applies. No Error: there are many, and nobody wants their stacks. */
export class Damage {
  /** @param {string} message */
  constructor(message) { this.message = message }
}
/** The bytes end too soon to tell. */
export class Cut extends Damage {}
