// How numbers are written: the same text for the same number as book/words.py makes of it (tests/shared/numbers.json).

/** @type {Record<string, string>} */
const RAISED = { "-": "⁻", ...Object.fromEntries([..."⁰¹²³⁴⁵⁶⁷⁸⁹"].map((digit, i) => [i, digit])) };

/**
 * `size` to that many digits. What is exactly halfway goes to the even one, as in Python; toPrecision takes the larger.
 *
 * @param {number} size at least 0
 * @param {number} digits
 */
function toDigits(size, digits) {
  const [exact, exponent] = size.toExponential(60).split("e"); // where halves occur all their digits are among these
  const halfway = /^50*$/.test(exact.slice(digits + 1));
  const even = "02468".includes(exact.replace(".", "")[digits - 1]);
  return Number(halfway && even ? `${exact.slice(0, digits + 1)}e${exponent}` : size.toPrecision(digits));
}

/** @param {number} size at least 0 */
function toWhole(size) {
  const whole = Math.round(size);
  return whole - size === 0.5 && whole % 2 ? whole - 1 : whole;
}

/**
 * To three digits, of what is large to the whole number.
 *
 * @param {number} size at least 0
 */
export const rounded = (size) => (size >= 1000 ? toWhole(size) : toDigits(size, 3));

/**
 * As 3.14×10⁻⁵.
 *
 * @param {number} size more than 0
 */
function power(size) {
  const [mantissa, exponent] = size.toExponential(2).split("e");
  const ten = `10${[...exponent].map((c) => RAISED[c] ?? "").join("")}`;
  return Number(mantissa) === 1 ? ten : `${Number(mantissa)}×${ten}`;
}

/**
 * A number as the sentences write it: three digits, a real minus, thousands and millions in full, what is tiny with a
 * power of ten.
 *
 * @param {number} value
 */
export function brief(value) {
  if (Number.isNaN(value)) return "not a number";
  return signed(value, (size) => {
    if (size && size < 1e-4) return power(size);
    const shown = rounded(size);
    return shown >= 1000 ? BigInt(shown).toLocaleString("en") : String(shown); // a BigInt keeps every digit
  });
}

/**
 * A setting's value as its control shows it: four digits, no commas.
 *
 * @param {unknown} value
 */
export function written(value) {
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "not a number";
  return signed(value, (size) => {
    if (size && (size < 1e-3 || size >= 1e5)) return power(size);
    return String(Number.isInteger(size) ? size : toDigits(size, 4));
  });
}

/**
 * @param {number} value
 * @param {(size: number) => string} write
 */
function signed(value, write) {
  const size = Math.abs(value);
  const digits = size === Number.POSITIVE_INFINITY ? "∞" : write(size);
  return value < 0 ? `−${digits}` : digits;
}
