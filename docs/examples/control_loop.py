"""A control loop that learns as it goes, and allocates nothing after its first turns: cbp and the standard library.

    python control_loop.py [turns]

A motor swings a pendulum along a curve. A weak proportional-derivative controller corrects errors; beside it a small
network learns the inverse of the plant, which torque makes which acceleration, from every turn of the loop, and adds
the torque that the curve will need, so that the controller has less and less to do. (An inverse model as feed-forward:
Kawato, Furukawa and Suzuki, Biological Cybernetics 57, 1987.)

What a turn works with is made once: `array` for numbers that Python reads and writes, and NumPy's views of the same
memory for the network. Floats come from Python's list of free ones.
"""

import gc
import itertools
import math
import sys
import time
from array import array

import numpy as np

import cbp

PERIOD = 0.002  # seconds between two turns
GRAVITY, FRICTION = 9.81, 0.4  # of a pendulum of length and mass 1
STIFFNESS, DAMPING = 20.0, 6.0  # of the controller
CAREFUL = 0.05  # learning rate


class Loop:
    """Plant, controller and network. `turn` is what runs every period."""

    def __init__(self, seed=0):
        self.net = cbp.Network([4, 16, 1], activation="tanh", output="identity", dtype="float64", seed=seed)
        # sin and cos of the angle, speed, acceleration; the torque: of the curve, and as they were. All about 1
        self.wanted, self.torque = array("d", [0, 0, 0, 0]), array("d", [0])
        self.was, self.needed = array("d", [0, 0, 0, 0]), array("d", [0])
        self._wanted, self._torque = np.frombuffer(self.wanted), np.frombuffer(self.torque)
        self._was, self._needed = np.frombuffer(self.was), np.frombuffer(self.needed)
        self.angle = self.speed = self.time = 0.0
        self.error = 0.0

    def turn(self):
        """Look where the pendulum is, choose a torque, learn from what the torque did."""
        t = self.time
        goal, goal_speed = math.sin(t) + 0.5 * math.sin(2.3 * t), math.cos(t) + 1.15 * math.cos(2.3 * t)
        wanted = self.wanted
        wanted[0], wanted[1], wanted[2] = math.sin(goal), math.cos(goal), 0.5 * goal_speed
        wanted[3] = -0.1 * (math.sin(t) + 2.645 * math.sin(2.3 * t))
        self.net.predict(self._wanted, out=self._torque)
        self.error = goal - self.angle
        torque = 10 * self.torque[0] + STIFFNESS * self.error + DAMPING * (goal_speed - self.speed)

        was = self.was
        was[0], was[1], was[2] = math.sin(self.angle), math.cos(self.angle), 0.5 * self.speed
        acceleration = torque - GRAVITY * was[0] - FRICTION * self.speed
        was[3], self.needed[0] = 0.1 * acceleration, 0.1 * torque
        self.net.train_step(self._was, self._needed, CAREFUL)

        self.speed += PERIOD * acceleration
        self.angle += PERIOD * self.speed
        self.time = t + PERIOD


def run(loop, turns):
    """Make so many turns; return the root of the mean of the squared errors of the angle."""
    total, turn = 0.0, loop.turn
    for _ in itertools.repeat(None, turns):
        turn()
        total += loop.error * loop.error
    return math.sqrt(total / turns)


def latencies(loop, turns):
    """Make so many turns, and return how long each took, sorted, in microseconds."""
    clock, turn, took = time.perf_counter_ns, loop.turn, array("q", bytes(8 * turns))
    for i in range(turns):
        begin = clock()
        turn()
        took[i] = clock() - begin
    return sorted(each / 1000 for each in took)


def main():
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    cbp.set_num_threads(1)
    loop = Loop()
    run(loop, 100)  # everything is made and known now
    gc.collect()
    gc.freeze()
    gc.disable()
    third = max(1, turns // 3)
    first, _, last = run(loop, third), run(loop, third), run(loop, third)
    print(f"error of the angle: {first:.4f} rad at first, {last:.4f} rad in the end")
    took = latencies(loop, third)
    middle, high = took[len(took) // 2], took[len(took) * 999 // 1000]
    print(f"a turn takes {middle:.1f} microseconds; 1 of 1,000 more than {high:.1f}, none more than {took[-1]:.1f}")


if __name__ == "__main__":
    main()
