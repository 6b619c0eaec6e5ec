"""Identity-balanced batches: P identities x K images ("In Defense of the Triplet Loss", sec. 3)."""

import numpy as np

from reanchor.errors import ReanchorError


class IdentitySampler:
    """Draws epochs of batches with P distinct identities and K images of each.

    Per identity the images are shuffled and cut into groups of K, a remainder is left out;
    an identity with fewer than K images gives one group, drawn with replacement. Batches then
    take the next group of P identities drawn at random, until fewer than P identities have
    groups left. An epoch depends on (seed, epoch) alone.
    """

    def __init__(self, pids: np.ndarray, identities: int, images: int, seed: int):
        """`pids` [N]: the label of each image; batches hold positions in it.

        Raises:
            ReanchorError: fewer than `identities` different labels.
        """
        pids = np.asarray(pids)
        _, first, inverse = np.unique(pids, return_index=True, return_inverse=True)
        self.positions = [np.flatnonzero(inverse == label) for label in np.argsort(first)]  # first seen first
        if len(self.positions) < identities:
            raise ReanchorError(f"a batch needs {identities} identities, the training images have "
                                f"{len(self.positions)}; set identities to at most that or add training data")
        self.identities, self.images, self.seed = identities, images, seed

    @property
    def max_images(self) -> int:
        """An upper bound on the images of an epoch: all groups; what is drawn may leave some over."""
        return sum(max(len(positions) // self.images, 1) * self.images for positions in self.positions)

    def batches(self, epoch: int, rank: int = 0, ranks: int = 1) -> list[np.ndarray]:
        """The batches of an epoch, each P*K positions (int64), one identity's K side by side.

        The list's length is the epoch's; it varies a little between epochs. Several ranks share each
        batch: rank r of R takes P / R of its identities, so that together they take the very batches of
        one, no identity is on two ranks and all ranks make equally many steps.

        Raises:
            ReanchorError: P identities do not divide among the ranks.
        """
        assert 0 <= rank < ranks, (rank, ranks)
        if self.identities % ranks:
            raise ReanchorError(f"a batch of {self.identities} identities does not divide among {ranks} ranks; set "
                                f"identities to a multiple of {ranks}")
        share = self.identities // ranks * self.images
        return [batch[rank * share:(rank + 1) * share] for batch in self._global_batches(epoch)]

    def _global_batches(self, epoch: int) -> list[np.ndarray]:
        rng = np.random.default_rng([self.seed, epoch])
        groups = [self._groups(positions, rng) for positions in self.positions]
        left = list(range(len(groups)))
        batches = []
        while len(left) >= self.identities:
            chosen = rng.choice(left, self.identities, replace=False)
            batches.append(np.concatenate([groups[label].pop(0) for label in chosen]))
            left = [label for label in left if groups[label]]
        return batches

    def _groups(self, positions: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        if len(positions) < self.images:
            return [rng.choice(positions, self.images, replace=True)]
        whole = len(positions) // self.images * self.images
        return np.split(rng.permutation(positions)[:whole], whole // self.images)
