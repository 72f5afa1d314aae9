// What hangs on I2C0 is outside: it is asked for what it answers. The bus takes its time, 9 bits for each byte.

const TX_EMPTY = 1 << 4; // of IC_RAW_INTR_STAT
const READ = 1; // rp2040js's I2CMode
const BIT_NANOS = 2500; // 400 kHz, the firmware's rate
const BYTE_NANOS = 9 * BIT_NANOS;

/**
 * `world.address(address)` tells whether anybody answers; `world.read(address, register)` returns the bytes that can be
 * read from there on, `world.write(address, bytes)` takes the bytes of a write, the register first.
 */
export function connectI2c(rp2040, i2c, world) {
  let address = 0;
  let reading = null;
  let written = [];
  let register = 0;
  let next = () => {};
  const alarm = rp2040.clock.createAlarm(() => next());
  const after = (nanos, action) => {
    next = action;
    alarm.schedule(nanos);
  };
  const flush = () => {
    if (written.length > 1) world.write(address, written);
    if (written.length > 0) register = written[0];
    written = [];
  };

  i2c.onStart = () => {
    flush(); // a repeated start ends what was written before
    after(BIT_NANOS, () => i2c.completeStart());
  };
  i2c.onConnect = (target, mode) => {
    address = target;
    after(BYTE_NANOS, () => {
      const answers = world.address(target);
      reading = answers && mode === READ ? [...world.read(target, register)] : null;
      i2c.completeConnect(answers);
      // The flushed FIFO of an abort is an empty one; without this the driver waits, and the next transfer gets its error.
      if (!answers) i2c.setInterrupts(TX_EMPTY);
    });
  };
  i2c.onWriteByte = (byte) => {
    written.push(byte);
    after(BYTE_NANOS, () => i2c.completeWrite(true));
  };
  i2c.onReadByte = () => after(BYTE_NANOS, () => i2c.completeRead(reading?.shift() ?? 0xff));
  i2c.onStop = () => {
    flush();
    after(BIT_NANOS, () => i2c.completeStop());
  };
}
