// Matrix products of 32-bit floats with WebAssembly's vectors of four: what a training step in a browser waits for,
// since Pyodide's NumPy multiplies one number at a time. AssemblyScript; static/assembly.py compiles it, and
// static/products.py calls it.
//
// Panels of B are packed and multiplied with four rows of A, whose sums stay in registers (Goto and van de Geijn 2008,
// "Anatomy of high-performance matrix multiplication", section 4). Addresses and strides are bytes.

const DEEP: i32 = 256; // rows of B in a block: a panel of it is 8 KiB
const WIDE: i32 = 8; // columns of B in a panel: two vectors
const FLOAT: i32 = 4; // bytes
const ROWS: i32 = 4; // of A at a time
const MANY: i32 = 64; // rows of A from which packing B is worth its time, wherever its numbers lie

/** Returns how many bytes `products` needs to pack B in, if that has so many columns. */
export function room(columns: i32): i32 {
  return (DEEP * panels(columns) + ROWS) * WIDE * FLOAT;
}

/**
 * C = A B for each pair of matrices: A (m, k), B (k, n), C (m, n), whose columns follow each other.
 *
 * A number of C is summed in blocks of DEEP, one product after another: it depends on its own row and column only,
 * not on how many there are.
 */
export function products(
  pairs: i32,
  m: i32,
  k: i32,
  n: i32,
  a: i32,
  aPair: i32,
  aRow: i32,
  aColumn: i32,
  b: i32,
  bPair: i32,
  bRow: i32,
  bColumn: i32,
  c: i32,
  cPair: i32,
  cRow: i32,
  free: i32,
): void {
  for (let pair = 0; pair < pairs; pair++) {
    for (let done = 0; done < k; done += DEEP) {
      const aHere = a + done * aColumn;
      const bHere = b + done * bRow;
      block(m, min(DEEP, k - done), n, aHere, aRow, aColumn, bHere, bRow, bColumn, c, cRow, free, done > 0);
    }
    a += aPair;
    b += bPair;
    c += cPair;
  }
}

function panels(columns: i32): i32 {
  return (columns + WIDE - 1) / WIDE;
}

/** C = A B, or with `add` C += A B, of at most DEEP rows of B. */
function block(
  m: i32,
  k: i32,
  n: i32,
  a: i32,
  aRow: i32,
  aColumn: i32,
  b: i32,
  bRow: i32,
  bColumn: i32,
  c: i32,
  cRow: i32,
  free: i32,
  add: bool,
): void {
  const edge = free + DEEP * panels(n) * WIDE * FLOAT;
  const packed = m >= MANY || bColumn != FLOAT;
  const whole = n - (n % WIDE); // columns in whole panels; what is left of them is always packed
  pack(k, n, packed ? 0 : whole, b, bRow, bColumn, free);
  for (let row = 0; row < m; row += ROWS) {
    const rows = min(ROWS, m - row);
    const aHere = a + row * aRow;
    for (let column = 0; column < n; column += WIDE) {
      const columns = min(WIDE, n - column);
      const copy = packed || column == whole;
      const panel = copy ? free + column * DEEP * FLOAT : b + column * FLOAT;
      const down = copy ? WIDE * FLOAT : bRow;
      const cHere = c + row * cRow + column * FLOAT;
      if (rows == ROWS && columns == WIDE) {
        four(k, aHere, aRow, aColumn, panel, down, cHere, cRow, add);
        continue;
      }
      for (let one = 0; one < rows; one++) {
        single(k, aHere + one * aRow, aColumn, panel, down, cHere + one * cRow, columns, edge, add);
      }
    }
  }
}

/** Copies B's columns from `first` on into panels that are WIDE wide; the last is filled up with zeros. */
function pack(k: i32, n: i32, first: i32, b: i32, bRow: i32, bColumn: i32, free: i32): void {
  for (let column = first; column < n; column += WIDE) {
    const columns = min(WIDE, n - column);
    let from = b + column * bColumn;
    let to = free + column * DEEP * FLOAT;
    for (let row = 0; row < k; row++) {
      if (columns == WIDE && bColumn == FLOAT) {
        v128.store(to, v128.load(from));
        v128.store(to, v128.load(from, 16), 16);
      } else {
        v128.store(to, f32x4.splat(0));
        v128.store(to, f32x4.splat(0), 16);
        for (let one = 0; one < columns; one++) store<f32>(to + one * FLOAT, load<f32>(from + one * bColumn));
      }
      from += bRow;
      to += WIDE * FLOAT;
    }
  }
}

/** Multiplies four rows of A with a panel. */
function four(k: i32, a: i32, aRow: i32, aColumn: i32, b: i32, bRow: i32, c: i32, cRow: i32, add: bool): void {
  let left0 = f32x4.splat(0);
  let left1 = left0;
  let left2 = left0;
  let left3 = left0;
  let right0 = left0;
  let right1 = left0;
  let right2 = left0;
  let right3 = left0;
  let second = a + aRow;
  let third = second + aRow;
  let fourth = third + aRow;
  for (let row = 0; row < k; row++) {
    const left = v128.load(b);
    const right = v128.load(b, 16);
    let number = v128.load32_splat(a);
    left0 = f32x4.add(left0, f32x4.mul(number, left));
    right0 = f32x4.add(right0, f32x4.mul(number, right));
    number = v128.load32_splat(second);
    left1 = f32x4.add(left1, f32x4.mul(number, left));
    right1 = f32x4.add(right1, f32x4.mul(number, right));
    number = v128.load32_splat(third);
    left2 = f32x4.add(left2, f32x4.mul(number, left));
    right2 = f32x4.add(right2, f32x4.mul(number, right));
    number = v128.load32_splat(fourth);
    left3 = f32x4.add(left3, f32x4.mul(number, left));
    right3 = f32x4.add(right3, f32x4.mul(number, right));
    a += aColumn;
    second += aColumn;
    third += aColumn;
    fourth += aColumn;
    b += bRow;
  }
  keep(c, left0, right0, add);
  keep(c + cRow, left1, right1, add);
  keep(c + 2 * cRow, left2, right2, add);
  keep(c + 3 * cRow, left3, right3, add);
}

/** Multiplies a row of A with a panel, of which so many columns count; `edge` has room for the others. */
function single(
  k: i32,
  a: i32,
  aColumn: i32,
  b: i32,
  bRow: i32,
  c: i32,
  columns: i32,
  edge: i32,
  add: bool,
): void {
  let left = f32x4.splat(0);
  let right = left;
  for (let row = 0; row < k; row++) {
    const number = v128.load32_splat(a);
    left = f32x4.add(left, f32x4.mul(number, v128.load(b)));
    right = f32x4.add(right, f32x4.mul(number, v128.load(b, 16)));
    a += aColumn;
    b += bRow;
  }
  if (columns == WIDE) {
    keep(c, left, right, add);
    return;
  }
  keep(edge, left, right, false);
  for (let one = 0; one < columns; one++) {
    const number = load<f32>(edge + one * FLOAT);
    const there = c + one * FLOAT;
    store<f32>(there, add ? load<f32>(there) + number : number);
  }
}

/** Stores eight numbers of C, or adds to them. */
function keep(c: i32, left: v128, right: v128, add: bool): void {
  v128.store(c, add ? f32x4.add(v128.load(c), left) : left);
  v128.store(c, add ? f32x4.add(v128.load(c, 16), right) : right, 16);
}
