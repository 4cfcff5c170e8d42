"""Search, mining and clustering as in the examples of v1 and v2, with the real all-MiniLM-L6-v2."""

from functools import cache

import numpy as np
import torch
from sentence_transformers import SentenceTransformer, util
from sentence_transformers.util import (
    community_detection,
    cos_sim,
    dot_score,
    paraphrase_mining,
    semantic_search,
)
from steps import minilm, run, scratch, step

CORPUS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The girl is carrying a baby.",
    "A man is riding a horse.",
    "A woman is playing violin.",
    "Two men pushed carts through the woods.",
    "A man is riding a white horse on an enclosed ground.",
    "A monkey is playing drums.",
    "A cheetah is running behind its prey.",
]
QUERIES = [
    "A man is eating pasta.",
    "Someone in a gorilla costume is playing a set of drums.",
    "A cheetah chases prey on across a field.",
]


@cache
def model():
    return SentenceTransformer(minilm())


@cache
def corpus():
    return model().encode(CORPUS, convert_to_tensor=True)


@cache
def queries():
    return model().encode(QUERIES, convert_to_tensor=True)


def hits(found):
    return [[[hit["corpus_id"], round(float(hit["score"]), 4)] for hit in one] for one in found]


@step
def encodes_to_a_tensor():
    return corpus()


@step
def encodes_one_sentence():
    return model().encode("This is a single sentence."), model().encode(
        "One more.", convert_to_tensor=True
    ).shape


@step
def ranks_by_cosine_and_topk():
    found = []
    for query in QUERIES:
        embedding = model().encode(query, convert_to_tensor=True)
        scores = util.cos_sim(embedding, corpus())[0]
        top = torch.topk(scores, k=5)
        found.append([[int(i), float(s)] for s, i in zip(top[0], top[1])])
    return found


@step
def ranks_by_pytorch_cos_sim_and_argpartition():
    scores = util.pytorch_cos_sim(queries()[0], corpus())[0].cpu()
    best = np.argpartition(-scores, range(3))[0:3]
    return [int(place) for place in best], [float(scores[place]) for place in best]


@step
def cos_sim_of_tensors():
    return cos_sim(queries(), corpus())


@step
def cos_sim_of_arrays():
    return cos_sim(queries().numpy(), corpus().numpy())


@step(near=1e-5)
def cos_sim_of_lists():
    return cos_sim([1.0, 2.0, 3.0], [[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])


@step
def dot_score_of_tensors():
    return dot_score(queries(), corpus())


@step
def a_float_of_cos_sim():
    score = util.cos_sim(corpus()[0], corpus()[1])
    return float(score), score.item(), f"{score[0][0]:.1f}", score.shape


@step
def the_best_of_each_row():
    values, places = cos_sim(queries(), corpus()).max(dim=1)
    return values, places, cos_sim(queries(), corpus()).argmax(dim=1).tolist()


@step
def scores_above_a_threshold():
    found = (cos_sim(corpus(), corpus()) > 0.5).nonzero()
    return found.tolist(), found.dtype


@step
def all_pairs_sorted():
    scores = util.cos_sim(corpus(), corpus())
    pairs = []
    for i in range(len(scores) - 1):
        for j in range(i + 1, len(scores)):
            pairs.append({"index": [i, j], "score": scores[i][j]})
    pairs = sorted(pairs, key=lambda x: x["score"], reverse=True)
    return [[pair["index"], float(pair["score"])] for pair in pairs[:4]]


@step
def sorts_descending_with_torch():
    values, places = torch.sort(cos_sim(queries()[1], corpus())[0], descending=True)
    return values[:4], places[:4].tolist()


@step
def fills_the_diagonal():
    scores = cos_sim(corpus(), corpus()).cpu()
    scores.fill_diagonal_(-1)
    return scores.max(1).values


@step
def semantic_search_of_tensors():
    found = semantic_search(queries(), corpus(), top_k=3)
    return hits(found), type(found[0][0]["corpus_id"]), type(found[0][0]["score"])


@step
def semantic_search_by_dot_of_normalized():
    one, two = util.normalize_embeddings(queries()), util.normalize_embeddings(corpus())
    return hits(semantic_search(one, two, score_function=util.dot_score, top_k=2)), two


@step
def semantic_search_of_arrays_in_chunks():
    found = util.semantic_search(
        queries().numpy(), corpus().numpy(), query_chunk_size=2, corpus_chunk_size=4, top_k=4
    )
    return hits(found)


@step
def semantic_search_of_one_query():
    return hits(util.semantic_search(model().encode(QUERIES[0]), corpus(), top_k=2))


@step
def semantic_search_of_lists():
    return hits(util.semantic_search([[1.0, 0.0]], [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]], top_k=20))


@step
def information_retrieval_is_its_old_name():
    return hits(util.information_retrieval(queries(), corpus(), top_k=1))


@step
def mines_paraphrases():
    sentences = CORPUS + QUERIES
    found = paraphrase_mining(model(), sentences, top_k=3)
    return [[score, i, j] for score, i, j in found[:5]], len(found)


@step
def mines_paraphrases_of_embeddings():
    found = util.paraphrase_mining_embeddings(corpus(), top_k=2, max_pairs=4, score_function=util.cos_sim)
    return [[score, i, j] for score, i, j in found]


@step
def detects_communities():
    embeddings = model().encode(CORPUS + QUERIES, batch_size=4, convert_to_tensor=True)
    found = community_detection(embeddings, min_community_size=2, threshold=0.5)
    return sorted(map(sorted, found), key=lambda one: (-len(one), one)), type(found)


@step
def detects_communities_of_arrays():
    embeddings = model().encode(CORPUS + QUERIES)
    return util.community_detection(embeddings, threshold=0.4, min_community_size=3)


@step
def clusters_with_kmeans():
    from sklearn.cluster import KMeans

    texts = [CORPUS[0], CORPUS[1], QUERIES[0], CORPUS[3], CORPUS[6], CORPUS[7], QUERIES[1]]
    labels = KMeans(n_clusters=3, random_state=0, n_init=10).fit(model().encode(texts)).labels_
    groups = {}
    for place, label in enumerate(labels):
        groups.setdefault(label, []).append(place)
    return sorted(groups.values())


@step
def clusters_agglomeratively():
    from sklearn.cluster import AgglomerativeClustering

    embeddings = model().encode(CORPUS)
    embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = AgglomerativeClustering(n_clusters=None, distance_threshold=1.2).fit(embeddings).labels_
    return len(set(labels)), bool(labels[3] == labels[6])


@step(near=1e-2)
def reduces_with_pca_in_a_dense_layer():
    from sentence_transformers import models
    from sklearn.decomposition import PCA

    one = SentenceTransformer(minilm())
    pca = PCA(n_components=4, svd_solver="full")
    pca.fit(one.encode(CORPUS))
    dense = models.Dense(
        in_features=one.get_sentence_embedding_dimension(),
        out_features=4,
        bias=False,
        activation_function=torch.nn.Identity(),
    )
    dense.linear.weight = torch.nn.Parameter(torch.tensor(np.asarray(pca.components_), dtype=torch.float32))
    one.add_module("dense", dense)
    embeddings = one.encode(CORPUS)
    path = scratch("pca")
    one.save(path)
    again = SentenceTransformer(path)
    return (
        embeddings.shape,
        bool(np.allclose(again.encode(CORPUS), embeddings, atol=2e-2)),
        np.abs(embeddings @ embeddings.T)[:2, :4],
    )


@step
def pairwise_forms():
    a, b = corpus()[:4], corpus()[4:8]
    return (
        util.pairwise_cos_sim(a, b),
        util.pairwise_dot_score(a.numpy(), b.numpy()),
        util.pairwise_euclidean_sim(a, b),
        util.pairwise_angle_sim(a, b),
    )


@step(near=1e-2)
def pairwise_manhattan():
    return util.pairwise_manhattan_sim(corpus()[:4], corpus()[4:8]), util.manhattan_sim(
        queries(), corpus()[:2]
    )


@step
def similarity_of_the_model():
    return (
        model().similarity(queries(), corpus()),
        model().similarity_pairwise(queries(), corpus()[:3]),
        model().similarity_fn_name,
    )


@step
def similarity_by_another_function():
    one = SentenceTransformer(minilm(), similarity_fn_name="euclidean")
    return one.similarity(queries(), corpus()), one.similarity_fn_name


@step
def encodes_normalized():
    embeddings = model().encode(CORPUS[:2], normalize_embeddings=True)
    return np.linalg.norm(embeddings, axis=1), embeddings.dtype


@step
def a_query_finds_itself_in_a_numpy_matrix():
    embeddings = model().encode(CORPUS)
    return [int(np.argmax(embeddings @ embeddings[place])) for place in range(len(CORPUS))]


@step
def keeps_embeddings_on_disk():
    import pickle

    with open(scratch("e.pkl"), "wb") as out:
        pickle.dump(
            {"sentences": CORPUS, "embeddings": model().encode(CORPUS)}, out, protocol=pickle.HIGHEST_PROTOCOL
        )
    with open(scratch("e.pkl"), "rb") as file:
        stored = pickle.load(file)
    return stored["sentences"][0], stored["embeddings"]


@step
def keeps_tensors_on_disk():
    torch.save(corpus(), scratch("e.pt"))
    return torch.equal(torch.load(scratch("e.pt")), corpus())


@step
def quantizes_embeddings():
    from sentence_transformers.quantization import quantize_embeddings

    embeddings = model().encode(CORPUS)
    binary = quantize_embeddings(embeddings, precision="ubinary")
    signed = quantize_embeddings(embeddings, precision="binary")
    scalar = quantize_embeddings(embeddings, precision="int8")
    return binary.dtype.name, binary.shape, signed.dtype.name, scalar.dtype.name, scalar.shape


@step
def encodes_in_a_precision():
    bits = model().encode(CORPUS, precision="ubinary")
    return bits.dtype.name, bits.shape, model().encode(CORPUS, precision="binary").dtype.name


@step
def searches_with_faiss():
    from sentence_transformers.quantization import semantic_search_faiss

    found, took = semantic_search_faiss(
        queries().numpy(), corpus_embeddings=corpus().numpy(), corpus_precision="float32", top_k=3, exact=True
    )[:2]
    return hits(found), type(took)


@step
def adds_embeddings_by_hand():
    mean = torch.stack([corpus()[0], corpus()[3]]).mean(dim=0)
    return util.cos_sim(mean, corpus())


@step
def retrieves_and_reranks_indices_as_ints():
    found = util.semantic_search(queries(), corpus(), top_k=2)[0]
    return [CORPUS[hit["corpus_id"]] for hit in found], sorted(found[0])


if __name__ == "__main__":
    run(near=3e-3)
