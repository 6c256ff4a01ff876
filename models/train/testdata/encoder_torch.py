"""The encoder of models/MODEL.md in PyTorch, to compare the speed of training with that of this project.

    python3 encoder_torch.py --threads 1
    go test ./models/train -run xxx -bench EncoderStep -cpu 1

Both learn from 20 histories of 200 events over 3,416 items with a full softmax: D = 64, H = 128, F = 256, two
blocks, dropout 0.2, AdamW, clipping. Histories of one length spare PyTorch all padding. The recurrence, for
which PyTorch has no operator, runs by doubling: eight shifted additions over the whole batch, which was faster
here than a loop over the events (--loop). Needs torch from PyPI; nothing else of the project does.
"""
import argparse
import math
import time

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, d, h, f, drop, loop):
        super().__init__()
        self.into, self.gate, self.out = nn.Linear(d, h), nn.Linear(d, h), nn.Linear(h, d)
        self.up, self.down = nn.Linear(d, f), nn.Linear(f, d)
        self.norm1, self.norm2, self.drop = nn.LayerNorm(d), nn.LayerNorm(d), nn.Dropout(drop)
        self.nu = nn.Parameter(-(math.log(0.3) + torch.rand(h) * math.log(1000)))
        self.loop = loop

    def recur(self, a):
        keep = torch.exp(-torch.exp(self.nu))
        h = a * torch.sqrt(1 - keep * keep + 1e-8)
        if self.loop:
            rows, last = [], torch.zeros_like(h[:, 0])
            for t in range(h.shape[1]):
                last = keep * last + h[:, t]
                rows.append(last)
            return torch.stack(rows, 1)
        step = 1
        while step < h.shape[1]:
            h = torch.cat([h[:, :step], h[:, step:] + keep * h[:, :-step]], 1)
            keep, step = keep * keep, 2 * step
        return h

    def forward(self, x):
        x = self.norm1(x + self.drop(self.out(F.silu(self.gate(x)) * self.recur(self.into(x)))))
        u = self.up(x)
        return self.norm2(x + self.drop(self.down(self.drop(u * torch.sigmoid(1.702 * u)))))


class Encoder(nn.Module):
    def __init__(self, items, d=64, h=128, f=256, blocks=2, drop=0.2, loop=False):
        super().__init__()
        self.item, self.bias = nn.Parameter(0.02 * torch.randn(items, d)), nn.Parameter(torch.zeros(items))
        self.kind, self.gap = nn.Parameter(0.02 * torch.randn(8, d)), nn.Parameter(0.02 * torch.randn(32, d))
        self.norm, self.drop = nn.LayerNorm(d), nn.Dropout(drop)
        self.blocks = nn.ModuleList(Block(d, h, f, drop, loop) for _ in range(blocks))

    def forward(self, items, kinds, gaps):
        x = self.norm(self.drop(F.embedding(items, self.item) + F.embedding(kinds, self.kind) + F.embedding(gaps, self.gap)))
        for block in self.blocks:
            x = block(x)
        return x @ self.item.T + self.bias


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--loop", action="store_true")
    o = p.parse_args()
    torch.set_num_threads(o.threads)
    torch.manual_seed(1)
    users, length, count = 20, 200, 3416
    model = Encoder(count, loop=o.loop)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    items = torch.randint(0, count, (users, length + 1))
    kinds, gaps = torch.zeros(users, length, dtype=torch.long), torch.ones(users, length, dtype=torch.long)

    def step():
        logits = model(items[:, :-1], kinds, gaps)
        loss = F.cross_entropy(logits.reshape(-1, count), items[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5)
        optimizer.step()
        return float(loss.detach())

    for _ in range(3):
        first = step()
    wall, cpu = [], []
    for _ in range(o.steps):
        t, c = time.perf_counter(), time.process_time()
        last = step()
        wall.append(time.perf_counter() - t)
        cpu.append(time.process_time() - c)
    events = users * length
    wall.sort()
    cpu.sort()
    print(f"torch {torch.__version__}, {o.threads} threads: {events / min(wall):,.0f} events/s at best, "
          f"{events / cpu[len(cpu) // 2]:,.0f} events per processor second (median); loss {first:.3f} -> {last:.3f}")


if __name__ == "__main__":
    main()
