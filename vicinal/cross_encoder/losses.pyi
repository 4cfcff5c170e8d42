from vicinal.nn.losses.cross_encoder import *
