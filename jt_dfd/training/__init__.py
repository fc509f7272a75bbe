"""Training: stage I (component embedding), the feature banks, stage II (feature mapping and image synthesis).

command       the command lines of the scripts in tools/
options       every option of both stages, its default and where that comes from
embedding     stage I: five autoencoders on component sketches
bank          encodes the training sketches into feature banks
synthesis     stage II: feature decoders and generator against the discriminator
losses        the terms, each a function of pictures or discriminator outputs
loop          one loop for both stages: steps, guards, checkpoints, samples, Ctrl-C
feed          which samples a step sees, on which rank
run_folder    checkpoints on disk: atomic, pruned, the best kept
export        gathers both stages and the banks into a folder of weights
"""
