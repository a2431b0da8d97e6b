#!/usr/bin/env python3
"""Computes placement.txt, independently of the Rust code (needs `pip install xxhash`).

The vectors are part of the contract: this script documents how they came to be and never rewrites existing lines.
"""
import random
import re
import xxhash


def key(entity):
    tag = re.match(r"[^{]*\{([^}]*)\}", entity, re.S)
    return tag.group(1) if tag and tag.group(1) else entity


def line(tenant, entity):
    h = xxhash.xxh64(tenant.encode() + b"\0" + key(entity).encode(), seed=0).intdigest()
    return f"{tenant}\t{entity}\t{h:016x}\t{h // 2**59}"


CHOSEN = """a|0|order-1|order-2|order-42|customer-7|invoice-2024-000001|file-etcd/a/b.go|{cust42}|order-{cust42}-7
invoice-{cust42}-3|cust42|{cust42}{other}|x{cust42}{other}y|{}|order-{}-7|{}{cust42}|{|}|order-{cust42|order-cust42}-7
}{cust42}|}{|{{cust42}}|{{cust42|a{b{c}d}e|b{c|{ }| |a b|ü|Ü|straße|日本語|注文-{顧客42}-7|顧客42|😀|a{😀}b|é|é|{ж}|ж|a{}b{c}
a{}{b|-|_|.|...|a.b|a/b/c|a//b|A|Z|%00|#|"quoted"|'single'|a,b;c|tab-less|{0}|{00}|00|{true}|null""".replace("\n", "|").split("|")

if __name__ == "__main__":
    print("# tenant, entity id, xxh64(tenant + 0x00 + routing key) in hex, partition; separated by tabs. Never edited.")
    for entity in CHOSEN:
        print(line("default", entity))
    for tenant in ["$system", "a", "acme", "acme-eu_1", "t" * 64]:
        for entity in ["order-1", "order-{cust42}-7", "日本語", "e" * 256]:
            print(line(tenant, entity))
    draw = random.Random(20240229)
    for n in list(range(1, 12)) + [30, 31, 32, 33, 63, 64, 65, 127, 200, 248, 256] + [20] * 20:
        print(line("default", "".join(draw.choice("abcdefghijklmnopqrstuvwxyz0123456789-{}") for _ in range(n))))
