"""Writes the indexes of this folder with the real libraries: `python make.py FOLDER` (versions in SOURCE.md)."""

import sys
import tempfile
from pathlib import Path

import annoy
import faiss
import hnswlib
import numpy as np

folder = Path(sys.argv[1])
dimensions = 4
vectors = np.random.default_rng(7).random((40, dimensions), dtype=np.float32)


def save(name, index):
    if not index.is_trained:
        index.train(vectors)
    if isinstance(index, (faiss.IndexIDMap, faiss.IndexIDMap2)):
        index.add_with_ids(vectors, np.arange(100, 140))
    else:
        index.add(vectors)
    faiss.write_index(index, str(folder / f"{name}.faiss"))


flat = faiss.IndexFlatL2
save("flat-l2", flat(dimensions))
save("flat-ip", faiss.IndexFlatIP(dimensions))
save("flat-l1", faiss.IndexFlat(dimensions, faiss.METRIC_Lp))
save("id-map", faiss.IndexIDMap(flat(dimensions)))
save("id-map-2", faiss.IndexIDMap2(flat(dimensions)))
save("hnsw-flat", faiss.IndexHNSWFlat(dimensions, 4))
save("hnsw-sq", faiss.IndexHNSWSQ(dimensions, faiss.ScalarQuantizer.QT_8bit, 4))
save("ivf-flat", faiss.IndexIVFFlat(flat(dimensions), dimensions, 3))
save("ivf-many", faiss.IndexIVFFlat(flat(dimensions), dimensions, 30))
save("ivf-hnsw", faiss.IndexIVFFlat(faiss.IndexHNSWFlat(dimensions, 4), dimensions, 3))
save("ivf-pq", faiss.IndexIVFPQ(flat(dimensions), dimensions, 3, 2, 2))
save("ivf-sq", faiss.IndexIVFScalarQuantizer(flat(dimensions), dimensions, 3, faiss.ScalarQuantizer.QT_8bit))
save("id-map-ivf", faiss.IndexIDMap2(faiss.IndexIVFFlat(flat(dimensions), dimensions, 3)))
save("pq", faiss.IndexPQ(dimensions, 2, 2))
save("sq", faiss.IndexScalarQuantizer(dimensions, faiss.ScalarQuantizer.QT_8bit))
save("pca", faiss.index_factory(dimensions, "PCA2,Flat"))
save("lsh", faiss.IndexLSH(dimensions, 16))

with tempfile.TemporaryDirectory() as scratch:
    index = faiss.IndexIVFFlat(flat(dimensions), dimensions, 3)
    index.train(vectors)
    lists = faiss.OnDiskInvertedLists(3, index.code_size, f"{scratch}/lists.ivfdata")
    index.replace_invlists(lists)
    index.add(vectors)
    faiss.write_index(index, str(folder / "ivf-on-disk.faiss"))

graph = hnswlib.Index(space="cosine", dim=dimensions)
graph.init_index(max_elements=50, ef_construction=50, M=4, random_seed=1)
graph.add_items(vectors)
graph.save_index(str(folder / "graph.hnswlib"))

trees = annoy.AnnoyIndex(dimensions, "angular")
for number, vector in enumerate(vectors):
    trees.add_item(number, vector.tolist())
trees.build(2)
trees.save(str(folder / "trees.ann"))
