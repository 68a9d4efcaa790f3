"""The chapter of `ISA.md` about time: the rules every engine obeys, in words."""

from __future__ import annotations

TIMING = """\
## Timing

How many cycles a program takes follows from this chapter and the chip file, whose keys are written `like.this`. Cycles
count from 0, in which the first instruction is fetched. What happens in a cycle becomes visible in a later one, which
the rules name; within a cycle there is one decision, of the arbiter.

### The sequencer

* Each fetched instruction takes one cycle, in program order: those dispatched, those the sequencer executes itself, and
  those a false guard skips. Going back in a loop takes none, nor does the body of a loop that is skipped.
* An instruction dispatched in cycle t takes a place in its unit's queue in t, and its unit can start it from
  t + `sequencer.dispatch_cycles` on. Its place is free in the cycle after its start. While the queue is full the
  sequencer waits, and everything behind with it.
* Where `sequencer.program_in_dram` is true, a run begins with its program: the words come over the DRAM bus in bursts
  of `dram.burst_bytes`, from a burst's beginning on. They lie one behind the other, apart from the addresses that
  instructions reach, each in whole units of 32 bits up to the last with a bit of a field. A request goes out each
  cycle from 0 on, when one of the sequencer's own `dram.outstanding_bursts` buffers is free; a burst whose transfer
  ends at time e is there in cycle ceil(e) + `dram.read_latency_cycles`, and its buffer is free in the next. The first
  instruction is fetched in the cycle after the last burst is there.
* A `signal` in cycle t is seen in t + `sequencer.semaphore_cycles`.
* A `frame` in cycle t ends the set-up part. The sequencer waits in it until every instruction before is done, and for
  each one done in cycle d the later of d + `sequencer.semaphore_cycles` and d + `chaining.hop_cycles` has come; where
  that is so in cycle u (t at the earliest), the next instruction is fetched in u + 1. Cycles and counters begin there,
  at 0; memories, semaphores, registers and units' own sequencers stay as they are.
* A run ends when `halt` has been fetched and every instruction is done: its cycles are one more than the later of
  `halt`'s cycle and the last done.

### Beats, ports, passes

A unit executes its queue in order, an instruction beat by beat. The first beat of an instruction can follow the last
of the one before in the next cycle; nothing but semaphores makes it wait for results.

* `matmul`: a beat for each `mac.rows` x `mac.columns` tile, row tile after row tile, in each from the first inputs to
  the last. Where n = `mac.accumulate_interval_cycles` is more than 1, row tiles take turns in groups: of n while at
  least 2 n are left, then all that are left. In a group, for each tile's worth of inputs from the first to the last,
  its row tiles have a beat each; where they are fewer than n, empty beats follow up to n, but not behind the last
  inputs. Where there are more vectors than `mac.batch_columns`, a group goes over its inputs again for the next of
  them. A beat reads its tile's weights (rows of padding too; columns that pad a row tile to a multiple of
  `mac.weight_block_columns` have no beats) and inputs, the first of a row tile also its bias or accumulators; the
  last writes the accumulators.
* `vector`: a beat for each `vector.lanes` elements. It reads its elements of source, addend, factor and term, the
  first beat the parameter block, then its elements' channel factors, and writes its elements of the destination and,
  with `keep`, of what is kept.
* `sync`: one beat without access.
* A load or store: a beat for each `dma.sram_bytes_per_cycle` bytes of a burst, from the burst's first byte on.

Word w of a memory lies in bank w mod `banks`, and a bank serves one access of one word a cycle, read or write: two
accesses of a beat to one word need it twice. All accesses of a beat, its writes too, have their banks in the cycles in
which the beat is issued. A beat that does not find them all in one cycle is split into passes, always the same way: its
accesses are taken in the order above, each cut into runs of at most `banks` words, and a run goes into the first pass,
not before its access's previous run, in which its banks are free. Where `sram.*.conflict_free` is true, every access of
that memory has a port of its own: it takes no bank, but its runs still take a pass each.

In each cycle the arbiter serves those that ask in the order matrix unit, vector unit (its later stages first), store,
load. Each gets all it
asks for, or nothing, and then asks again in the next cycle: for the first pass of an instruction all its semaphores,
its elements and its ports; for the first pass of another beat its elements and ports; for another pass its ports.

The result of a beat whose last pass is issued in cycle t is *written* in t + the unit's `latency_cycles` (`mac`,
`vector`, `dma`), and can be read from the cycle after that. An instruction is *done* in the cycle in which its last
result is written.

The sums of a row tile leave the array one tile after the other: they are written in t + `mac.latency_cycles`, but no
earlier than `mac.drain_cycles` after those written before them, of whichever product. A `sync` of the matrix unit is
done no earlier than the sums before it are written.

### Stages

Where the chip has `vector.stages`, the vector unit is a row of them, and has no latency of its own. A beat of a vector
instruction or a `sync` is issued in each stage in turn; it can be issued in the next stage `latency_cycles` of this one
after its last pass here, and its result is written that of the last stage after its last pass there. Each stage issues
its beats in order, one in a cycle, whatever the others wait for, and asks the arbiter for itself.

* The source, with the parameter block and channel factors, is read in the first stage; the result, and what is kept, is
  written in the last. In between an instruction's addition of the addend, activation, multiplication by the factor, and
  addition of the term have, in this order, each the first of the stages' `operations` that fits, behind that of the one
  before; each operation of a stage is used once. Operands are read in the stage of their operation. A program with an
  instruction that finds no such places is refused.
* A wait is taken in the stage that `wait0_at`, `wait1_at` or `wait2_at` names: the first, that of an operand, or the
  last; in the first where the instruction has no such operand. Before its first beat in a stage an instruction takes
  the counts for that stage together; elements are taken before each beat in the stage of their wait. A `sync` waits in
  the first stage. Signals are given with results.
* An instruction's place in the queue is free in the cycle after its start in the last stage.
* A wait of the vector unit, but for one marked `each`, finds a count only `vector.wake_cycles` after the cycle in which
  it is seen; the oldest counts are taken first.
* Where `dma.loads_through_vector` is true, a load of activations is one of the vector unit's: it takes a place in that
  queue and beats in the last stage alone, in order with results; it has its waits there. A beat writes `vector.lanes`
  bytes of a row, the last of a row what is left; the data comes from the host's queue, without DRAM's bus or latency.

### Units with a sequencer of their own

Where n = `sequencer.beats_ahead` is not 0, the matrix unit and each stage of the vector unit have a sequencer that
writes their beats, empty ones too, one a cycle, and up to n of them ahead.

* An instruction dispatched in cycle d is there in a = d + `sequencer.dispatch_cycles`. Let f be the cycle after the
  sequencer's last written beat (0 at first), c = `sequencer.instruction_cycles`, and k the number of instructions
  executed between its last one and this one, which it passes over: other units', signals, `frame`, and in an earlier
  stage loads. The first beat is written in max(f + k c, a) + c, a later one in the cycle after the one before.
* In a load through the vector unit the first beat of each row costs c as well, with k = 0.
* A beat takes a place, which is free in the cycle after the last pass of the beat n before it; it is not written
  earlier. A beat can be issued `sequencer.beat_cycles` after it is written.

### Semaphores

* A wait takes one count before the first beat, all waits of an instruction together. A signal of an instruction done
  in cycle t is seen in t + `sequencer.semaphore_cycles`.
* A wait marked `each` takes counts before each beat: in a `matmul` as many as the beat sums inputs, while the first row
  tile goes over them, none for the others; in a `vector` instruction as many as the beat has elements; in a load or
  store one before each row; in a `sync` one.
* A signal marked `each` gives counts that are seen `chaining.hop_cycles` after a result is written: a `matmul` as many
  as a row tile has rows, when its accumulators are written; a `vector` instruction as many as a beat has elements; a
  load or store one for each row; a `sync` one.
* Where `chaining.enabled` is false, a program in which a `matmul`, a `vector` instruction or a `sync` of their units
  waits or signals with `each` is refused. Loads and stores count rows on every chip.

### DRAM

A transfer is cut row by row into bursts that end at multiples of `dram.burst_bytes` of the DRAM address. All bursts
take one bus, in the order in which they ask for it; where a store and a load ask in one cycle, the store is first. A
burst of n bytes that asks in cycle t has the bus from time t, or from when it is free if that is later, for n /
`dram.bytes_per_cycle` cycles, up to a time e that need not be whole (the rate counts as the nearest fraction with a
denominator of at most 1024). Each DMA has `dram.outstanding_bursts` buffers, one for each burst under way.

* A load sends one request a cycle, when a buffer is free, and reads DRAM in that cycle. Its data can land from cycle
  ceil(e) + `dram.read_latency_cycles` on, bursts in order, one beat a cycle. The buffer is free in the cycle after
  its last beat.
* A store takes a buffer with a burst's first beat, and asks for the bus `dma.latency_cycles` after its last. The
  burst is written to DRAM in cycle ceil(e) + `dram.write_latency_cycles`; its buffer is free in the next.
* A `sync` takes no buffer and not the bus. In the load queue it asks as a load's request does, and its beat comes in
  the next cycle or when the data before it has landed. In the store queue it is done `dma.latency_cycles` after its
  beat, or with the store before it.

### Order of values

Values move in the cycles these rules give, so a program that lacks a semaphore computes wrong ones. Within one
instruction the order of reads and writes is open: its destination may lie on an operand whose elements are as wide and
start at the same address, and must not overlap one otherwise.
"""
